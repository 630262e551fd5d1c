"""What a network costs, from shapes alone: parameters, multiply-accumulates, memory access, activation memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from riffle.profiling.formulas import Kind
from riffle.profiling.operations import Operation, trace


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums over operations, of one run on one batch."""

    params: int
    """Weights and biases, trainable or frozen; running statistics are not counted."""
    macs: int
    """Multiply-accumulates of convolutions, linear layers and attention products."""
    flops: int
    """Floating point operations of everything: additions, multiplications, comparisons, functions."""
    memory_access: int
    """Elements read and written by all operations: inputs, outputs, weights (ShuffleNet V2, section 2)."""
    memory_bytes: int
    """The same in bytes."""

    @property
    def intensity(self) -> float:
        """Floating point operations for each byte of memory access."""
        return self.flops / self.memory_bytes if self.memory_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Profile(Cost):
    """What a network costs for one input, as a whole and operation by operation."""

    peak_memory: int
    """Most bytes of activations alive at one time, the input included and the weights not."""
    operations: tuple[Operation, ...]
    """In the order in which they run; those that only look at data in another way read and write nothing."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes of what ``forward`` was given."""

    @property
    def batch(self) -> int:
        """Inputs that were run together."""
        return self.inputs[0][0]

    @property
    def size(self) -> int:
        """Side of the picture in pixels, or length of what else ``forward`` takes."""
        return self.inputs[0][-1]

    @property
    def not_counted(self) -> dict[str, int]:
        """Operations that there is no formula for, and how often each was met: their MACs and FLOPs are missing."""
        return dict(Counter(operation.name for operation in self.operations if operation.kind is Kind.UNKNOWN))

    def show(self) -> None:
        """Print the totals, and what each kind of work costs."""
        from riffle.profiling.report import text  # which builds on this module

        print(text(self))  # noqa: T201

    def modules(self, *, depth: int | None = None) -> dict[str, Cost]:
        """The cost of each module with all that is inside it, by its path, in the order of the first operation.

        Args:
            depth: how many levels of names to tell apart; all when left out.
        """
        parts: dict[str, list[Operation]] = {}
        for operation in self.operations:
            names = operation.module.split(".") if operation.module else []
            for level in range(1, len(names[:depth]) + 1):
                parts.setdefault(".".join(names[:level]), []).append(operation)
        return {path: _sum(operations) for path, operations in parts.items()}


def profile(
    model: nn.Module,
    *,
    size: int = 224,
    batch: int = 1,
    in_channels: int = 3,
    inputs: tuple[Tensor, ...] | None = None,
) -> Profile:
    """Count what a network costs for square pictures of ``size`` pixels, or for the ``inputs`` of its ``forward``.

    Shapes flow through the network, nothing is computed and no memory is taken, so networks that are too large for
    this machine can be counted too. One MAC is one multiplication with its addition; biases, norms, activations and
    pooling count as none, as in the papers' tables. Memory access counts every operation as it is dispatched, so
    shuffles, splits and additions too; a view costs nothing. For a 1x1 convolution without bias it is
    h w (c1 + c2) + c1 c2 / g.

    Raises:
        ValueError: the network looks at numbers on its way, so that it cannot run on shapes alone.
    """
    if inputs is None:
        inputs = (torch.empty(batch, in_channels, size, size, device="meta"),)
    found = trace(model, inputs)
    total = _sum(found.operations)
    return Profile(
        params=sum(parameter.numel() for parameter in model.parameters()),
        macs=total.macs,
        flops=total.flops,
        memory_access=total.memory_access,
        memory_bytes=total.memory_bytes,
        peak_memory=found.peak,
        operations=found.operations,
        inputs=tuple(tuple(x.shape) for x in inputs),
    )


def _sum(operations: Iterable[Operation]) -> Cost:
    """Totals; weights that several operations read count once among the parameters."""
    operations = list(operations)
    weights = dict(weight for operation in operations for weight in operation.weights)
    return Cost(
        params=sum(weights.values()),
        macs=sum(operation.macs for operation in operations),
        flops=sum(operation.flops for operation in operations),
        memory_access=sum(operation.memory_access for operation in operations),
        memory_bytes=sum(operation.bytes for operation in operations),
    )
