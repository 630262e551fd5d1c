"""The algebra of convolution and batch normalization, in one place."""

from copy import deepcopy

import torch
from torch import nn


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that gives what ``norm(conv(x))`` gives in evaluation.

    With s = weight / sqrt(running_var + eps) of the norm, its output is s * (W x + b - running_mean) + bias: a
    convolution with weights s W and bias s (b - running_mean) + bias. The sums are done in float64 and rounded once.

    Raises:
        ValueError: the norm keeps no running statistics, so there is nothing fixed to fold.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded: its output depends on the batch")
    folded = deepcopy(conv)  # of the same class: a convolution may pad in its own way
    if folded.bias is None:
        folded.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))
    with torch.no_grad():
        inverse = (norm.running_var.double() + norm.eps).rsqrt()
        scale = inverse if norm.weight is None else norm.weight.double() * inverse
        before = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
        shift = scale * before
        folded.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
        folded.bias.copy_(shift if norm.bias is None else shift + norm.bias.double())
    return folded
