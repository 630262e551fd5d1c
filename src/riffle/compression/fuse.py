"""Fold batch norms into the layers before or behind them: the same answers from fewer operations."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch
from torch import nn

from riffle.compression.norm_pairs import is_pair, pairs_of, replace_modules
from riffle.compression.rewrite import rewrite
from riffle.layers.conv import ConvNormAct
from riffle.layers.reparam import Folded, RepConv, collapse, fold_norm, fold_norm_before, pads_with_zeros

Network = TypeVar("Network", bound=nn.Module)

TOLERANCE = 1e-9
"""Largest difference in float64, relative to the output's size, that a fold may make."""


def fuse(model: Network) -> Network:
    """A copy for evaluation in which batch norms are part of the convolutions and linear layers beside them.

    The branches of :class:`~riffle.layers.reparam.RepConv` become one convolution. A norm goes into the convolution
    (dense, grouped, depthwise, transposed; for lines, planes and volumes) or the linear layer before it, or else into
    the one behind it, unless that pads with zeros, to which the norm would have to add its shift. Neighbours are found
    in :class:`~riffle.layers.conv.ConvNormAct` and ``nn.Sequential``, and in any network that ``torch.fx`` can trace.
    A linear layer's norm is taken to see (batch, features). Each fold is checked in float64 on random input.

    Raises:
        ArithmeticError: a folded layer gives other answers, for instance since a weight is not finite.
        ValueError: a branch's norm keeps no running statistics, so that the branches cannot become one.
    """
    network = rewrite(model, _without_norms, name="fuse").eval()
    for norm_first in (False, True):
        replaced: dict[nn.Module, nn.Module] = {}
        for layer, norm in pairs_of(network, norm_first=norm_first):
            if not norm_first:
                replaced |= {layer: _folded(layer, norm), norm: nn.Identity()}
            elif not pads_with_zeros(layer):
                replaced |= {norm: nn.Identity(), layer: _folded_before(norm, layer)}
        replace_modules(network, replaced)
    return network


def _without_norms(module: nn.Module) -> nn.Module | None:
    if isinstance(module, RepConv):
        return _proven(module, collapse, like=module.full)
    if isinstance(module, ConvNormAct) or type(module) is nn.Sequential:
        _fold_neighbours(module)  # in place, and None: what else is in it is asked about in its turn
    return None


def _fold_neighbours(sequence: nn.Sequential) -> None:
    """Fold each norm that stands behind a convolution; an identity takes its place."""
    names = [name for name, child in sequence._modules.items() if child is not None]
    for before, after in pairwise(names):
        layer, norm = getattr(sequence, before), getattr(sequence, after)
        if is_pair(layer, norm):
            setattr(sequence, before, _folded(layer, norm))
            setattr(sequence, after, nn.Identity())


def _folded(layer: Folded, norm: nn.modules.batchnorm._BatchNorm) -> Folded:
    return _proven(nn.Sequential(layer, norm), lambda pair: fold_norm(pair[0], pair[1]), like=layer)


def _folded_before(norm: nn.modules.batchnorm._BatchNorm, layer: Folded) -> Folded:
    return _proven(nn.Sequential(norm, layer), lambda pair: fold_norm_before(pair[0], pair[1]), like=layer)


def _proven(unit: nn.Module, fold: Callable[[Any], nn.Module], *, like: Folded) -> Folded:
    """Fold in float64, compare there, and give the result in the precision of ``like``, a layer of the unit."""
    exact = deepcopy(unit).cpu().double().eval()
    folded = fold(exact)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_smallest_input(like), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        expected = exact(x)
        difference = (folded(x) - expected).abs().max().item()
    if not difference <= TOLERANCE * max(expected.abs().max().item(), 1e-30):
        width = like.out_features if isinstance(like, nn.Linear) else like.out_channels
        raise ArithmeticError(f"folding a batch norm of {width} channels changed its output by {difference:.2g}")
    return cast(Folded, folded.to(like.weight.device, like.weight.dtype))


def _smallest_input(layer: Folded) -> tuple[int, ...]:
    """A shape on which every part of the kernel meets every border."""
    if isinstance(layer, nn.Linear):
        return (2, layer.in_features)
    sides = ((k - 1) * d + 3 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
    return (1, layer.in_channels, *sides)
