"""The algebra of convolution and batch normalization, in one place.

In evaluation a batch norm is a scale and a shift for each channel, and a convolution is linear in its kernel and its
bias. So a norm goes into the convolution before it (``fold_norm``), and convolutions side by side whose outputs are
added become one (``collapse``): more to train, and nothing more to run.
"""

from collections import OrderedDict
from copy import deepcopy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.attention import Gate
from riffle.layers.conv import ConvNormAct, relu


class RepConv(nn.Module):
    """Branches side by side, each with a batch norm of its own, added up; one convolution in evaluation.

    Ding et al., RepVGG, https://arxiv.org/abs/2101.03697, Fig. 2b and 4: an identity, a 3x3 and a 1x1 convolution.
    Vasu et al., MobileOne, https://arxiv.org/abs/2206.04040, Fig. 3: ``copies`` convolutions of the full kernel (the
    paper's k), and the same around them. Shapes decide on the rest: the identity branch needs an output shaped like
    the input, and beside a 1x1 kernel there is no other 1x1. Layers are listed as both papers' releases list them.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, *, groups: int = 1, copies: int = 1
    ) -> None:
        super().__init__()

        def conv_norm(kernel: int) -> ConvNormAct:
            return ConvNormAct(c_in, c_out, kernel, stride, groups=groups, act=None)

        self.identity = nn.BatchNorm2d(c_out) if c_in == c_out and stride == 1 else None
        self.convs = nn.ModuleList(conv_norm(kernel) for _ in range(copies))
        self.scale = conv_norm(1) if kernel > 1 else None

    def branches(self) -> list[ConvNormAct | nn.BatchNorm2d]:
        """What is added up, in the order in which it is listed and run."""
        convs = cast("list[ConvNormAct]", list(self.convs))
        return [branch for branch in (self.identity, *convs, self.scale) if branch is not None]

    @property
    def full(self) -> nn.Conv2d:
        """The first convolution of the full kernel: the one that the others join."""
        return cast(ConvNormAct, self.convs[0]).conv

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        first, *others = self.branches()
        return sum((branch(x) for branch in others), start=first(x))  # type: ignore[no-any-return]


class RepUnit(nn.Sequential):
    """Branches added up, then a gate where there is one, then ReLU: the block of RepVGG and MobileOne."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        copies: int = 1,
        gate: Gate | None = None,
    ) -> None:
        layers = OrderedDict[str, nn.Module](conv=RepConv(c_in, c_out, kernel, stride, groups=groups, copies=copies))
        if gate is not None:
            layers["gate"] = gate(c_out)
        layers["act"] = relu()
        super().__init__(layers)


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


def collapse(unit: RepConv) -> nn.Conv2d:
    """One convolution that gives what the branches of ``unit`` add up to in evaluation.

    Convolutions of one kernel size, stride and grouping add up to one of them:
    (W1 x + b1) + (W2 x + b2) = (W1 + W2) x + (b1 + b2). Three steps bring every branch to that form:

    1. The identity is a 1x1 convolution: W[o, i] = 1 where input i of o's group is channel o itself, else 0. With g
       groups of n = channels / g inputs, that is i = o mod n.
    2. Its norm is folded into each convolution (``fold_norm``), which gives it a bias.
    3. A 1x1 kernel is a k x k kernel with k // 2 zeros on every side. Its convolution pads the input with k // 2 zeros,
       so that the centre of the kernel is at the same pixels as before, at every stride.

    The sums are done in float64 and rounded once.

    Raises:
        ValueError: a norm keeps no running statistics, or is no batch norm.
    """
    exact = deepcopy(unit).double()
    whole = exact.full
    folded = [_folded(branch, whole) for branch in exact.branches()]
    with torch.no_grad():
        whole.weight.copy_(torch.stack([_padded(conv.weight, whole.kernel_size) for conv in folded]).sum(0))
        whole.bias = nn.Parameter(torch.stack([conv.bias for conv in folded if conv.bias is not None]).sum(0))
    return whole.to(unit.full.weight.dtype)


def _folded(branch: ConvNormAct | nn.BatchNorm2d, whole: nn.Conv2d) -> nn.Conv2d:
    """Steps 1 and 2: a branch as one convolution with a bias."""
    if isinstance(branch, ConvNormAct):
        if not isinstance(branch.norm, nn.BatchNorm2d):
            raise ValueError(f"a branch with {type(branch.norm).__name__} in place of a batch norm cannot be collapsed")
        return fold_norm(branch.conv, branch.norm)
    channels, groups = whole.out_channels, whole.groups
    identity = nn.Conv2d(channels, channels, 1, groups=groups, bias=False).to(whole.weight)
    nn.init.dirac_(identity.weight, groups)
    return fold_norm(identity, branch)


def _padded(weight: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """Step 3: zeros around a kernel, up to the size of the largest."""
    top, left = ((size - own) // 2 for size, own in zip(kernel, weight.shape[2:], strict=True))
    return F.pad(weight, (left, left, top, top))
