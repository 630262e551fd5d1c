"""What a session asks of a runtime: open a file, run it, and be timed."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""Pictures (batch, size, size, 3), red first."""
Shares = npt.NDArray[np.float32]
"""Probabilities (batch, classes)."""

METADATA = "riffle"
"""Key under which classes and preprocessing travel in a file, as JSON."""


class Engine(ABC):
    """A file opened by its runtime; ``Engine(path, threads)`` raises whatever the runtime raises."""

    facts: str | None
    """The JSON that was written by :func:`riffle.deployment.shipped.facts_of`; None in a file of another origin."""
    takes_batches: bool

    @abstractmethod
    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of a batch; of one picture where the file takes no more."""

    @abstractmethod
    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """A call that runs these pixels again and again, with no copy of them where the runtime can do without."""


def read_facts(text: str | None) -> dict[str, Any]:
    """The facts of a file; raises ``ValueError`` where it has none."""
    try:
        facts = json.loads(text or "")
        return {"preprocessing": facts["preprocessing"], "classes": facts["classes"], **facts}
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError("was not exported by Riffle: it tells no classes and no preprocessing") from None


def as_images(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Pixels as float32 images (batch, 3, size, size) in 0..255, for the runtimes that take no bytes."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
