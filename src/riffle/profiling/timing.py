"""Measured time of every operation of a network, beside the time of the whole."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from riffle.hardware import environment
from riffle.profiling.cost import Profile
from riffle.profiling.latency import Latency, pinned, summary, time_of
from riffle.profiling.operations import Operation, timed_trace


@dataclass(frozen=True, slots=True)
class Timed:
    """An operation with its measured time."""

    operation: Operation
    latency: Latency

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates in a second."""
        return self.operation.macs / self.latency.median / 1e6

    @property
    def gflops(self) -> float:
        """Billions of floating point operations in a second."""
        return self.operation.flops / self.latency.median / 1e6

    @property
    def gbytes(self) -> float:
        """Billions of bytes read and written in a second."""
        return self.operation.bytes / self.latency.median / 1e6


@dataclass(frozen=True, slots=True)
class Timing:
    """A network's time, as a whole and operation by operation, measured in turn."""

    whole: Latency
    operations: tuple[Timed, ...]
    start: float
    """Milliseconds to start any operation: an addition of two numbers, measured in the same rounds."""
    environment: dict[str, str]

    @property
    def sum(self) -> float:
        """Milliseconds of all operations together: the whole without what Python does between them."""
        return float(np.sum([timed.latency.median for timed in self.operations]))

    def share(self, timed: Timed) -> float:
        """The part of all operations' time that one takes, from 0 to 1."""
        return timed.latency.median / self.sum

    def spread(self, profile: Profile) -> list[float]:
        """The milliseconds of each operation of a profile of the same network on the same input.

        Shapes and numbers run the same program, but a device may join what shapes take apart (attention): then the
        time of a module is spread over its operations by their bytes.
        """
        milliseconds = [timed.latency.median for timed in self.operations]
        measured = [timed.operation for timed in self.operations]
        if [(o.module, o.name) for o in measured] == [(o.module, o.name) for o in profile.operations]:
            return milliseconds
        of_module: dict[str, float] = {}
        for operation, taken in zip(measured, milliseconds, strict=True):
            of_module[operation.module] = of_module.get(operation.module, 0.0) + taken
        bytes_of_module: dict[str, int] = {}
        for operation in profile.operations:
            bytes_of_module[operation.module] = bytes_of_module.get(operation.module, 0) + operation.bytes
        return [
            of_module.get(o.module, 0.0) * o.bytes / bytes_of_module[o.module] if bytes_of_module[o.module] else 0.0
            for o in profile.operations
        ]


def time_operations(
    model: nn.Module, inputs: tuple[Tensor, ...], *, rounds: int = 20, warmup: int = 3, threads: int = 1
) -> Timing:
    """Run a network as a whole and operation by operation in turn, A B A B.

    Operations are timed around their dispatch, in eager float32 as the network is given; views take their time too.
    """
    model.eval()
    wholes: list[float] = []
    parts: list[tuple[float, ...]] = []
    starts: list[float] = []
    number = torch.ones(1)
    operations: tuple[Operation, ...] = ()
    with pinned(threads), torch.no_grad():
        for turn in range(warmup + rounds):
            whole = time_of(lambda: model(*inputs))
            found, seconds = timed_trace(model, inputs)
            operations = found.operations
            if turn >= warmup:
                wholes.append(whole)
                parts.append(seconds)
                starts.append(min(time_of(lambda: torch.add(number, number)) for _ in range(10)))
    each = [summary(list(times), threads) for times in zip(*parts, strict=True)]
    timed = tuple(Timed(operation, latency) for operation, latency in zip(operations, each, strict=True))
    return Timing(summary(wholes, threads), timed, summary(starts, threads).median, environment())
