"""The convolution unit that every network here is made of."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]

relu = partial(nn.ReLU, inplace=True)
relu6 = partial(nn.ReLU6, inplace=True)


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalization and activation, in that order; ``act=None`` leaves the output linear.

    The padding keeps the size at stride 1 (kernel // 2); ``conv`` may pad in another way. With ``norm=None`` the
    convolution has a bias instead, as networks had before batch normalization. The children's names, ``conv``, ``norm``
    and ``act``, are part of the contract: folding, quantization and profiles go by them.
    """

    conv: nn.Conv2d
    norm: nn.Module
    act: nn.Module

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: Activation | None = relu,
        norm: Norm | None = nn.BatchNorm2d,
        conv: type[nn.Conv2d] = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.conv = conv(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=norm is None)
        self.norm = norm(c_out) if norm is not None else nn.Identity()
        self.act = act() if act is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME`` does it: what does not divide evenly goes below and to the right.

    At stride 1 this is the usual symmetric padding. At stride 2 it depends on the size of the input: an even side with
    a 3x3 kernel gets one row below and none above. Weights that were trained so lose 8 to 25 points of accuracy under
    symmetric padding. ``padding`` is accepted, as any convolution does, and not used.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        (top, bottom), (left, right) = (
            _same_padding(side, *of_axis)
            for side, *of_axis in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        )
        if (top, left) == (bottom, right):
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _same_padding(side: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Rows before and after, so that the output has ceil(side / stride)."""
    total = max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
    return total // 2, total - total // 2


def depthwise(channels: int, kernel: int = 3, stride: int = 1, *, act: Activation | None = None) -> ConvNormAct:
    """One filter for each channel, then batch normalization; linear unless ``act`` is given."""
    return ConvNormAct(channels, channels, kernel, stride, groups=channels, act=act)
