"""Proof that a file and its network agree, from picture to label."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from riffle.deployment.session import Session
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Picture, Preprocessing

TOLERANCE = 1e-4
"""Largest difference of a probability between file and network, both in float32."""

TOLERANCES = {"float32": TOLERANCE, "float16": 5e-3, "bfloat16": 5e-2}
"""The same where the file computes in a shorter precision: the steps of 11 and 8 bits, grown over some fifty layers."""


class VerificationError(ValueError):
    """A file gives other answers than its network."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a successful verification saw."""

    pictures: int
    largest_difference: float
    """Of any probability."""

    def told(self) -> str:
        """In words."""
        return f"same label on {self.pictures} pictures, probabilities within {self.largest_difference:.1g}"


def verify(
    path: Path, network: nn.Module, preprocessing: Preprocessing, pictures: Iterable[Picture], *, batch_size: int = 16
) -> Agreement:
    """Compare a file with its network on pictures: same label on each, probabilities within the precision's tolerance.

    The file decodes and prepares each picture by what its own metadata says, the network by ``preprocessing``, so a
    mistake in the metadata is found too. The pictures go through the file in batches and the first ones singly as well.

    Raises:
        VerificationError: a label or a probability differs; the message names the first picture.
        ValueError: there are no pictures.
    """
    session = Session(path)
    tolerance = TOLERANCES[session.precision]
    network = deepcopy(network).cpu().float().eval()
    to_input = PixelInput(preprocessing)
    seen, largest = 0, 0.0
    for batch in _batches(pictures, batch_size):
        by_file = np.stack([session.preprocessing.pixels(picture) for picture in batch])
        by_network = torch.from_numpy(np.stack([preprocessing.pixels(picture) for picture in batch]))
        shares = session.probabilities(by_file)
        with torch.inference_mode():
            expected = network(to_input(by_network)).softmax(1).numpy()
        if seen == 0:
            singly = np.concatenate([session.probabilities(pixels[None]) for pixels in by_file[:4]])
            worse = np.abs(singly - expected[:4]) > np.abs(shares[:4] - expected[:4])
            shares[:4] = np.where(worse, singly, shares[:4])
        difference = float(np.abs(shares - expected).max())
        differs = np.flatnonzero(shares.argmax(1) != expected.argmax(1))
        if differs.size or not difference <= tolerance:
            worst = int(differs[0]) if differs.size else int(np.abs(shares - expected).max(1).argmax())
            raise VerificationError(
                f"{path.name} and the network disagree on {_name(batch[worst])}: "
                f"{_top(shares[worst])} and {_top(expected[worst])}, largest difference {difference:.2g}"
            )
        seen += len(batch)
        largest = max(largest, difference)
    if not seen:
        raise ValueError("a file is proven on pictures; there are none")
    return Agreement(seen, largest)


def _batches(pictures: Iterable[Picture], size: int) -> Iterable[list[Picture]]:
    batch: list[Picture] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _name(picture: Picture) -> str:
    return str(picture) if isinstance(picture, str | Path) else "a picture"


def _top(shares: np.ndarray) -> str:
    return f"class {int(shares.argmax())} at {float(shares.max()):.4f}"
