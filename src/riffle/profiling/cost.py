"""Parameters, multiply-accumulates and memory access, from shapes alone."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts for one input size."""

    params: int
    """Trainable and frozen weights and biases; running statistics are not counted."""
    macs: int
    """Multiply-accumulates of convolutions, linear layers and attention products, for the whole batch."""
    memory_access: int
    """Elements read and written by all operations: inputs, outputs, weights (ShuffleNet V2, section 2)."""
    size: int
    batch: int


def profile(
    model: nn.Module,
    *,
    size: int = 224,
    batch: int = 1,
    in_channels: int = 3,
    inputs: tuple[Tensor, ...] | None = None,
) -> Cost:
    """Count what a network costs for square pictures of ``size`` pixels, or for the ``inputs`` of its ``forward``.

    Runs a copy on the ``meta`` device: shapes flow, nothing is computed and no memory is taken. One MAC is one
    multiplication with its addition; biases, norms, activations and pooling count as none, as in the papers' tables.
    Memory access counts every operation as it is dispatched, so shuffles, splits and additions too; a view costs
    nothing. For a 1x1 convolution without bias it is h w (c1 + c2) + c1 c2 / g.
    """
    shapes = deepcopy(model).to("meta").eval()
    counter = _Counter()
    if inputs is None:
        inputs = (torch.empty(batch, in_channels, size, size),)
    inputs = tuple(x.to("meta") for x in inputs)
    with torch.no_grad(), counter:
        shapes(*inputs)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(params, counter.flops // 2, counter.memory_access, size, batch)


_aten = torch.ops.aten
_KEEPS_FOR_BACKWARD = {
    _aten.native_batch_norm,
    _aten._native_batch_norm_legit_no_training,
    _aten.native_layer_norm,
    _aten.native_group_norm,
    _aten.max_pool2d_with_indices,
    _aten.max_pool3d_with_indices,
}
"""Operations whose further results serve a backward pass, and are not written when a network is run."""


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation with its operands' shapes, below composite ones."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.memory_access = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **kwargs, out_val=result)
        if not _is_view(func):
            written = result[0] if func.overloadpacket in _KEEPS_FOR_BACKWARD else result
            self.memory_access += _elements((args, kwargs)) + _elements(written)
        return result


def _is_view(func: Any) -> bool:
    """Whether an operation only looks at its input in another way."""
    if func.overloadpacket in (_aten._unsafe_view, _aten.detach):
        return True
    results = func._schema.returns
    return bool(results) and all(result.alias_info is not None and not result.alias_info.is_write for result in results)


def _elements(values: Any) -> int:
    return sum(leaf.numel() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
