"""The machine's own roof: how fast it multiplies and how fast it moves data, measured here and now.

After Williams, Waterman and Patterson, Roofline: An Insightful Visual Performance Model, CACM 52(4), 2009: an operation
of a given intensity (floating point operations for each byte) runs at most at min(compute, intensity x bandwidth).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from riffle.profiling.latency import pinned, time_of

SIDE = 1024
"""Side of the square matrices whose product measures computing: 4 MB each, which a blocked product keeps in cache."""
FAR_BYTES = 256 * 2**20
"""More than any cache holds, so that a copy comes from memory."""
NEAR_BYTES = 128 * 2**10
"""A pair of these stays in the second-level cache of every usual processor, as small feature maps do."""


@dataclass(frozen=True, slots=True)
class Roof:
    """What this machine can do with that many threads, in float32."""

    gflops: float
    """Billions of floating point operations in a second, in a product of matrices."""
    memory: float
    """Billions of bytes in a second, read and written, from memory."""
    cache: float
    """The same where the data is small and was used just before."""
    threads: int

    @property
    def ridge(self) -> float:
        """Intensity above which computing is the limit, not memory."""
        return self.gflops / self.memory

    def attainable(self, intensity: float) -> float:
        """Billions of floating point operations in a second at that intensity, data coming from memory."""
        return min(self.gflops, intensity * self.memory)


def measure_roof(*, threads: int = 1, seconds: float = 1.0) -> Roof:
    """Measure the roof, taking about that many seconds; the best of several times counts, as the least disturbed."""
    with pinned(threads), torch.inference_mode():
        left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
        product = torch.empty(SIDE, SIDE)
        compute = 2 * SIDE**3 / _best(lambda: torch.mm(left, right, out=product), seconds / 3)
        memory, cache = (_bandwidth(size, seconds / 3) for size in (FAR_BYTES, NEAR_BYTES))
    return Roof(compute / 1e9, memory / 1e9, cache / 1e9, threads)


def _bandwidth(size: int, seconds: float) -> float:
    """Bytes in a second of a copy: each is read once and written once."""
    source = torch.ones(size // 4)
    target = torch.zeros_like(source)
    repeats = max(1, 2**22 // size)

    def copies() -> None:
        for _ in range(repeats):
            target.copy_(source)

    return 2 * size * repeats / _best(copies, seconds)


def _best(call: Callable[[], object], seconds: float) -> float:
    """Shortest time of one call."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, time_of(call))
    return best
