"""What one operation computes: multiply-accumulates and floating point operations from its operands' shapes.

A multiply-accumulate (MAC) is one multiplication with its addition, in convolutions, linear layers and the products of
attention. Floating point operations (FLOPs) are everything that is added, multiplied or compared: twice the MACs there,
and the numbers beside each formula here. Operations that only look at data in another way, or only move it, compute
nothing, but those that move still read and write. What has no formula is reported as not counted, never as nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

aten = torch.ops.aten


class Kind(StrEnum):
    """What sort of work an operation is; guideline G4 is about the share of the elementwise ones."""

    CONVOLUTION = "convolution"
    LINEAR = "linear"
    ATTENTION = "attention"
    NORM = "norm"
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    POOLING = "pooling"
    MOVEMENT = "movement"
    VIEW = "view"
    UNKNOWN = "not counted"


class Work(NamedTuple):
    """The work of one operation."""

    macs: int = 0
    flops: int = 0


Formula = Callable[[Sequence[Any], Mapping[str, Any], Any], Work]


def _convolution(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    """The product h w c_out k k c_in / groups, and an addition for each output where there is a bias."""
    x, weight, bias = args[:3]
    transposed = args[6]
    macs = (x if transposed else out).numel() * weight[0].numel()
    return Work(macs, 2 * macs + (out.numel() if bias is not None else 0))


def _product(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    """Rows x columns x the dimension that is summed over: mm, bmm."""
    macs = out.numel() * args[0].shape[-1]
    return Work(macs, 2 * macs)


def _product_added(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    """The same, and an addition for each output: addmm, baddbmm."""
    macs = out.numel() * args[1].shape[-1]
    return Work(macs, 2 * macs + out.numel())


def _attention(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    """Two products, of queries with keys and of weights with values, and a softmax between them."""
    query, key, value = args[:3]
    *heads, rows, depth = query.shape
    pairs = prod(heads) * rows * key.shape[-2]
    macs = pairs * depth + pairs * value.shape[-1]
    return Work(macs, 2 * macs + 5 * pairs)


def _each_output(flops: int) -> Formula:
    return lambda args, kwargs, out: Work(0, flops * _first(out).numel())


def _each_input(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    return Work(0, args[0].numel())


def _window(args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Work:
    """As many additions or comparisons for each output as the window has places."""
    window = args[1]
    size = prod(window) if len(window) > 1 else window[0] ** (_first(out).ndim - 2)
    return Work(0, size * _first(out).numel())


def _first(out: Any) -> Tensor:
    """The result of an operation; some also give what a backward pass would need."""
    result: Tensor = out[0] if isinstance(out, tuple | list) else out
    return result


_ATTENTIONS = (
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
    aten._scaled_dot_product_fused_attention_overrideable,
)
_UNTAGGED = (
    aten.hardswish,
    aten.hardswish_,
    aten.hardsigmoid,
    aten.hardsigmoid_,
    aten.hardtanh,
    aten.hardtanh_,
    aten.mish,
    aten.mish_,
    aten.elu,
    aten.elu_,
    aten.leaky_relu,
    aten.leaky_relu_,
    aten.glu,
    aten.softplus,
    aten.hardshrink,
    aten.softshrink,
    aten._prelu_kernel,
    aten.log_sigmoid_forward,
)
"""Elementwise functions, some of which torch does not tag as such."""
_REDUCTIONS = (aten.mean, aten.sum, aten.amax, aten.amin, aten.max, aten.min, aten.argmax, aten.linalg_vector_norm)
_MOVEMENTS = (
    aten.cat,
    aten.clone,
    aten.copy,
    aten.copy_,
    aten._to_copy,
    aten.constant_pad_nd,
    aten.reflection_pad2d,
    aten.replication_pad2d,
    aten.index,
    aten.index_select,
    aten.gather,
    aten.embedding,
    aten.repeat,
    aten.stack,
    aten.flip,
    aten.roll,
    aten.pixel_shuffle,
    aten.pixel_unshuffle,
    aten.channel_shuffle,
    aten.native_channel_shuffle,
    aten.upsample_nearest2d,
    aten.split_with_sizes_copy,
    aten.slice_scatter,
    aten.select_scatter,
    aten.masked_fill,
    aten.tril,
    aten.triu,
    aten.arange,
    aten.empty,
    aten.full,
    aten.full_like,
    aten.zeros,
    aten.zeros_like,
    aten.ones,
    aten.ones_like,
    aten.new_zeros,
    aten.new_full,
    aten.new_empty,
    aten.fill_,
    aten.zero_,
    aten.scalar_tensor,
)

_TABLE: dict[Any, tuple[Kind, Formula]] = {
    aten.convolution: (Kind.CONVOLUTION, _convolution),
    aten._convolution: (Kind.CONVOLUTION, _convolution),
    aten.mm: (Kind.LINEAR, _product),
    aten.bmm: (Kind.ATTENTION, _product),
    aten.addmm: (Kind.LINEAR, _product_added),
    aten.baddbmm: (Kind.ATTENTION, _product_added),
    **dict.fromkeys(_ATTENTIONS, (Kind.ATTENTION, _attention)),
    # in evaluation a scale and a shift for each element; layer and group norms also take mean and variance there
    aten.native_batch_norm: (Kind.NORM, _each_output(2)),
    aten._native_batch_norm_legit: (Kind.NORM, _each_output(2)),
    aten._native_batch_norm_legit_no_training: (Kind.NORM, _each_output(2)),
    aten._batch_norm_with_update: (Kind.NORM, _each_output(2)),
    aten.native_layer_norm: (Kind.NORM, _each_output(7)),
    aten.native_group_norm: (Kind.NORM, _each_output(7)),
    # maximum, subtraction, exponential, sum, division
    aten._softmax: (Kind.REDUCTION, _each_output(5)),
    aten._safe_softmax: (Kind.REDUCTION, _each_output(5)),
    aten._log_softmax: (Kind.REDUCTION, _each_output(5)),
    **dict.fromkeys(_REDUCTIONS, (Kind.REDUCTION, _each_input)),
    aten._adaptive_avg_pool2d: (Kind.POOLING, _each_input),
    aten._adaptive_avg_pool3d: (Kind.POOLING, _each_input),
    aten.adaptive_max_pool2d: (Kind.POOLING, _each_input),
    aten.avg_pool2d: (Kind.POOLING, _window),
    aten.avg_pool3d: (Kind.POOLING, _window),
    aten.max_pool2d_with_indices: (Kind.POOLING, _window),
    aten.max_pool3d_with_indices: (Kind.POOLING, _window),
    # four neighbours, each with its weight; sixteen for the cubic form
    aten.upsample_bilinear2d: (Kind.MOVEMENT, _each_output(7)),
    aten.upsample_bicubic2d: (Kind.MOVEMENT, _each_output(31)),
    aten._upsample_bilinear2d_aa: (Kind.MOVEMENT, _each_output(7)),
    aten._upsample_bicubic2d_aa: (Kind.MOVEMENT, _each_output(31)),
    **dict.fromkeys(_UNTAGGED, (Kind.ELEMENTWISE, _each_output(1))),
    **dict.fromkeys(_MOVEMENTS, (Kind.MOVEMENT, _each_output(0))),
}

KEEPS_FOR_BACKWARD = frozenset(
    {
        *_ATTENTIONS,
        aten.native_batch_norm,
        aten._native_batch_norm_legit,
        aten._native_batch_norm_legit_no_training,
        aten._batch_norm_with_update,
        aten.native_layer_norm,
        aten.native_group_norm,
        aten.max_pool2d_with_indices,
        aten.max_pool3d_with_indices,
        aten.adaptive_max_pool2d,
    }
)
"""Operations whose further results serve a backward pass, and are not written when a network is run."""


def work(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> tuple[Kind, Work]:
    """What an operation computes; ``Kind.UNKNOWN`` where there is no formula for it."""
    if is_view(func):
        return Kind.VIEW, Work()
    packet = func.overloadpacket
    if packet in _TABLE:
        kind, formula = _TABLE[packet]
        return kind, formula(args, kwargs, out)
    if torch.Tag.pointwise in func.tags:  # one operation for each element, whatever the function
        return Kind.ELEMENTWISE, Work(0, _first(out).numel())
    return Kind.UNKNOWN, Work()


def is_view(func: Any) -> bool:
    """Whether an operation only looks at its input in another way."""
    if func.overloadpacket in (aten._unsafe_view, aten.detach, aten.lift_fresh):
        return True
    results = func._schema.returns
    return bool(results) and all(result.alias_info is not None and not result.alias_info.is_write for result in results)
