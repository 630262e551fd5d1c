"""Fold batch norms into the convolutions before them: the same answers from fewer operations."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from riffle.compression.rewrite import rewrite
from riffle.layers.conv import ConvNormAct, SameConv2d
from riffle.layers.reparam import RepConv, collapse, fold_norm

Network = TypeVar("Network", bound=nn.Module)
Layer = TypeVar("Layer", bound=nn.Module)

TOLERANCE = 1e-9
"""Largest difference in float64, relative to the output's size, that a fold may make."""

FOLDABLE = (nn.Conv2d, SameConv2d)  # other subclasses may compute anything


def fuse(model: Network) -> Network:
    """A copy for evaluation in which every batch norm that directly follows a convolution is part of it.

    Found are the norms of :class:`~riffle.layers.conv.ConvNormAct`, neighbours in any ``nn.Sequential``, and the
    branches of :class:`~riffle.layers.reparam.RepConv`, which become one convolution. Each fold is checked in float64
    on random input.

    Raises:
        ArithmeticError: a folded convolution gives other answers, for instance since a weight is not finite.
        ValueError: a branch's norm keeps no running statistics, so that the branches cannot become one.
    """
    return rewrite(model, _without_norms, name="fuse").eval()


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
        conv, norm = getattr(sequence, before), getattr(sequence, after)
        if type(conv) in FOLDABLE and type(norm) is nn.BatchNorm2d and norm.running_var is not None:
            folded = _proven(nn.Sequential(conv, norm), lambda pair: fold_norm(*pair), like=conv)
            setattr(sequence, before, folded)
            setattr(sequence, after, nn.Identity())


def _proven(unit: Layer, fold: Callable[[Layer], nn.Conv2d], *, like: nn.Conv2d) -> nn.Conv2d:
    """Fold in float64, compare there, and give the result in the precision of ``like``, a convolution of the unit."""
    exact = deepcopy(unit).cpu().double().eval()
    folded = fold(exact)
    height, width = ((k - 1) * d + 3 for k, d in zip(like.kernel_size, like.dilation, strict=True))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, like.in_channels, height, width, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        expected = exact(x)
        difference = (folded(x) - expected).abs().max().item()
    if not difference <= TOLERANCE * max(expected.abs().max().item(), 1e-30):
        raise ArithmeticError(
            f"folding a batch norm of {like.out_channels} channels changed its output by {difference:.2g}"
        )
    return folded.to(like.weight.device, like.weight.dtype)
