"""ExecuTorch files: a program for the XNNPACK backend, with class names and preprocessing in a method.

The file takes images: the conversion from bytes would be left to ExecuTorch's reference kernels, which are slow. Its
Python runtime imports torch; on a phone the file runs without.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riffle.deployment import engine
from riffle.deployment.engine import METADATA, Pixels, Shares, as_images
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import Batch, Precision
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn


def export(
    network: "nn.Module",
    preprocessing: Preprocessing,
    path: Path,
    *,
    precision: Precision = "float32",
    batch: Batch = "one",
) -> None:
    """Write a .pte file for single pictures, in float32."""
    import torch

    from riffle.deployment.shipped import example, facts_of, shipped

    facts = facts_of(network, preprocessing, precision=precision, batch=batch)
    with quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        images = example(preprocessing, takes="images")
        program = torch.export.export(shipped(network, preprocessing, takes="images"), (images,))
        edge = to_edge_transform_and_lower(
            program, partitioner=[XnnpackPartitioner()], constant_methods={METADATA: facts}
        )
        path.write_bytes(edge.to_executorch().buffer)


def load(path: str | Path, *, threads: int | None = None) -> Session:
    """A session for the file."""
    return Session(path, threads=threads)


class Engine(engine.Engine):
    """A file in ExecuTorch. The number of threads is one for the whole process, the last that was asked for."""

    takes_batches = False

    def __init__(self, path: Path, threads: int) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib as runtime

        self._torch = torch
        runtime._unsafe_reset_threadpool(threads)
        self._module = runtime._load_for_executorch(str(path))
        names = self._module.method_names()
        self.facts = self._module.run_method(METADATA, ())[0] if METADATA in names else None

    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of one picture."""
        (shares,) = self._module.forward((self._torch.from_numpy(as_images(pixels)),))
        return np.array(shares.numpy())

    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """The pixels are made images once."""
        images: tuple[Any] = (self._torch.from_numpy(as_images(pixels)),)
        return lambda: self._module.forward(images, clone_outputs=False)
