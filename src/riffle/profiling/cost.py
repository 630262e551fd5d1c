"""Parameters and multiply-accumulates, from shapes alone."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts for one input size."""

    params: int
    """Trainable and frozen weights and biases; running statistics are not counted."""
    macs: int
    """Multiply-accumulates of convolutions, linear layers and attention products, for the whole batch."""
    size: int
    batch: int


def profile(model: nn.Module, *, size: int = 224, batch: int = 1, in_channels: int = 3) -> Cost:
    """Count a network's parameters and MACs for square pictures of ``size`` pixels.

    Runs a copy on the ``meta`` device: shapes flow, nothing is computed and no memory is taken. One MAC is one
    multiplication with its addition; biases, norms, activations and pooling count as none, as in the papers' tables.
    """
    shapes = deepcopy(model).to("meta").eval()
    for parent in list(shapes.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                parent._modules[name] = nn.Identity()  # no MACs, and slow to trace
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shapes(torch.empty(batch, in_channels, size, size, device="meta"))
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(params, counter.get_total_flops() // 2, size, batch)
