"""The algebra of convolution and batch normalization, in one place.

In evaluation a batch norm is a scale and a shift for each channel, and a convolution is linear in its kernel and its
bias. So a norm goes into the convolution before it (``fold_norm``), and convolutions side by side whose outputs are
added become one (``collapse``): more to train, and nothing more to run.
"""

from collections import OrderedDict
from copy import deepcopy
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.attention import Gate
from riffle.layers.conv import ConvNormAct, relu

Foldable = nn.modules.conv._ConvNd | nn.Linear
Folded = TypeVar("Folded", bound=Foldable)


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


def fold_norm(layer: Folded, norm: nn.modules.batchnorm._BatchNorm) -> Folded:
    """One convolution or linear layer that gives what ``norm(layer(x))`` gives in evaluation.

    With s = weight / sqrt(running_var + eps) of the norm, its output is s * (W x + b - running_mean) + bias: a
    convolution with weights s W and bias s (b - running_mean) + bias. The sums are done in float64 and rounded once.

    Raises:
        ValueError: the norm keeps no running statistics, so there is nothing fixed to fold.
    """
    scale, shift = _scale_and_shift(norm)
    folded = _with_bias(layer)  # of the same class: a convolution may pad in its own way
    assert folded.bias is not None
    with torch.no_grad():
        folded.bias.copy_(shift if layer.bias is None else shift + scale * layer.bias.double())
        _by_group(folded).copy_(_by_group(layer).double() * scale.view(_groups(layer), 1, -1, 1))
    return folded


def fold_norm_before(norm: nn.modules.batchnorm._BatchNorm, layer: Folded) -> Folded:
    """One convolution or linear layer that gives what ``layer(norm(x))`` gives in evaluation.

    With the norm's scale s and shift t, W (s x + t) + b = (W s) x + (W t + b), where W t is summed over the kernel
    too. That holds where the kernel never sees zeros from padding, to which the norm adds no t; or where t is 0.

    Raises:
        ValueError: the norm keeps no running statistics, or the layer pads with zeros and the norm shifts.
    """
    scale, shift = _scale_and_shift(norm)
    if shift.any() and pads_with_zeros(layer):
        raise ValueError("a norm that shifts cannot be folded into a convolution that pads with zeros")
    folded = _with_bias(layer)
    assert folded.bias is not None
    with torch.no_grad():
        weight = _by_group(layer).double()  # (groups, inputs, outputs, kernel)
        added = (weight.sum(3) * shift.view(_groups(layer), -1, 1)).sum(1).flatten()
        folded.bias.copy_(added if layer.bias is None else added + layer.bias.double())
        _by_group(folded).copy_(weight * scale.view(_groups(layer), -1, 1, 1))
    return folded


def pads_with_zeros(layer: nn.Module) -> bool:
    """Whether the kernel sees values at the borders that are not from the input."""
    if isinstance(layer, nn.Linear):
        return False
    if type(layer) not in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        return True  # a transposed convolution's borders see fewer inputs; others pad in ways of their own
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    return layer.padding == "same" or any(layer.padding)  # type: ignore[arg-type]


def _scale_and_shift(norm: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded: its output depends on the batch")
    inverse = (norm.running_var.double() + norm.eps).rsqrt()
    scale = inverse if norm.weight is None else norm.weight.detach().double() * inverse
    shift = -scale * norm.running_mean.double()
    return scale, shift if norm.bias is None else shift + norm.bias.detach().double()


def _with_bias(layer: Folded) -> Folded:
    copy = deepcopy(layer)
    if copy.bias is None:
        outputs = copy.out_features if isinstance(copy, nn.Linear) else copy.out_channels
        copy.bias = nn.Parameter(layer.weight.new_zeros(outputs))
    return copy


def _groups(layer: Folded) -> int:
    return 1 if isinstance(layer, nn.Linear) else layer.groups


def _by_group(layer: Folded) -> Tensor:
    """A view of the weights: (groups, inputs, outputs, kernel)."""
    weight, groups = layer.weight.detach(), _groups(layer)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return weight.view(groups, layer.in_channels // groups, layer.out_channels // groups, -1)
    return weight.view(groups, len(weight) // groups, weight.shape[1], -1).transpose(1, 2)


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
