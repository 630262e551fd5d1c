"""The forms in which a network can be shipped: they give the same answers, and none is fastest in every runtime."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import torch
from torch import nn

from riffle.compression import fuse, unshuffle
from riffle.deployment.runtimes import Batch, Form, Precision, Runtime, in_one_line, runtime_of
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing
from riffle.profiling.cost import profile
from riffle.profiling.latency import Latency, measure_blocks

MULTIPLES = {"unshuffled": 1, "padded8": 8, "padded16": 16}
"""To what the slices of channels are padded with zero weights."""


def in_form(network: nn.Module, form: Form, preprocessing: Preprocessing) -> nn.Module:
    """A copy for evaluation with batch norms folded, and channel shuffles removed where the form says so."""
    fused = fuse(network)
    if form == "plain":
        return fused
    weight = next(fused.parameters())
    pictures = torch.zeros(1, 3, preprocessing.size, preprocessing.size, dtype=weight.dtype, device=weight.device)
    return unshuffle(fused, pictures, multiple=MULTIPLES[form])


def forms_of(network: nn.Module, preprocessing: Preprocessing) -> tuple[Form, ...]:
    """The forms that differ: only the plain one where no shuffle can be removed, or there is none."""
    plain, free = (in_form(network, form, preprocessing) for form in ("plain", "unshuffled"))
    saved = _moved(plain, preprocessing) - _moved(free, preprocessing)
    return get_args(Form) if saved > 0 else ("plain",)


def _moved(network: nn.Module, preprocessing: Preprocessing) -> int:
    """Elements that one picture makes the network read and write."""
    return profile(network, size=preprocessing.size).memory_access


def write(
    runtime: Runtime,
    network: nn.Module,
    preprocessing: Preprocessing,
    path: Path,
    precision: Precision = "float32",
    batch: Batch | None = None,
) -> None:
    """Write a file for a runtime.

    Raises:
        ValueError: the runtime can't take this network, with its reason.
        OSError: the folder can't be written to, or the disk is full.
    """
    try:
        runtime.module().export(network, preprocessing, path, precision=precision, batch=batch or runtime.batches[0])
    except OSError:
        raise
    except Exception as error:  # converters' errors share no class
        raise ValueError(f"{runtime.title} can't take this network: {in_one_line(error)}") from error


def tune(
    network: nn.Module,
    runtime: Runtime,
    preprocessing: Preprocessing,
    forms: tuple[Form, ...],
    *,
    precision: Precision = "float32",
    batch: Batch | None = None,
    rounds: int = 20,
) -> dict[Form, Latency]:
    """What one picture takes in each form on this machine: one thread, blocks of calls, the forms in turn."""
    pixels = np.zeros((1, preprocessing.size, preprocessing.size, 3), np.uint8)
    with TemporaryDirectory() as folder:
        calls: dict[Form, Callable[[], object]] = {}
        for form in forms:
            path = Path(folder) / f"{form}{runtime.suffix}"
            write(runtime, in_form(network, form, preprocessing), preprocessing, path, precision, batch)
            calls[form] = Session(path, threads=1).bound(pixels)
        return measure_blocks(calls, rounds=rounds)


def size_of(path: str | Path) -> int:
    """Bytes of an exported file with all its parts."""
    return sum(part.stat().st_size for part in runtime_of(path).parts(Path(path)))
