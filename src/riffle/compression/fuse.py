"""Fold batch norms into the convolutions before them: the same answers from fewer operations."""

from collections import OrderedDict
from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from riffle.compression.rewrite import rewrite
from riffle.layers.conv import ConvNormAct
from riffle.layers.reparam import fold_norm

Network = TypeVar("Network", bound=nn.Module)
Layer = TypeVar("Layer", nn.Conv2d, nn.BatchNorm2d)

TOLERANCE = 1e-9
"""Largest difference in float64, relative to the output's size, that a fold may make."""


def fuse(model: Network) -> Network:
    """A copy for evaluation in which every batch norm that directly follows a convolution is part of it.

    Found are the norms of :class:`~riffle.layers.conv.ConvNormAct` and neighbours in any ``nn.Sequential``. Each fold
    is checked in float64 on random input.

    Raises:
        ArithmeticError: a folded convolution gives other answers, for instance since a weight is not finite.
    """
    return rewrite(model, _without_norms, name="fuse").eval()


def _without_norms(module: nn.Module) -> nn.Module | None:
    if isinstance(module, ConvNormAct):
        children = _fold_neighbours(module)
        if children is None:
            return None
        module.conv, module.norm = children["conv"], nn.Identity()  # type: ignore[assignment]
        return module
    if type(module) is nn.Sequential:
        children = _fold_neighbours(module)
        return None if children is None else nn.Sequential(children)
    return None


def _fold_neighbours(sequence: nn.Sequential) -> OrderedDict[str, nn.Module] | None:
    """The children by name with each conv-norm pair folded and the norm an identity; None where there is no pair."""
    children = OrderedDict((name, child) for name, child in sequence._modules.items() if child is not None)
    names = list(children)
    found = False
    for before, after in pairwise(names):
        conv, norm = children[before], children[after]
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_var is not None:
            children[before], children[after] = _proven(conv, norm), nn.Identity()
            found = True
    return children if found else None


def _proven(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Fold in float64, compare there, and give the result in the network's own precision."""
    exact_conv, exact_norm = _double(conv), _double(norm)
    folded = fold_norm(exact_conv, exact_norm)
    height, width = ((k - 1) * d + 3 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, conv.in_channels, height, width, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        expected = exact_norm(exact_conv(x))
        difference = (folded(x) - expected).abs().max().item()
    if not difference <= TOLERANCE * max(expected.abs().max().item(), 1e-30):
        raise ArithmeticError(
            f"folding a batch norm of {conv.out_channels} channels changed its output by {difference:.2g}"
        )
    return folded.to(conv.weight.device, conv.weight.dtype)


def _double(module: Layer) -> Layer:
    return deepcopy(module).cpu().double().eval()
