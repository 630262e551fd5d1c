"""The convolution unit that every network here is made of."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

Activation = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]

relu = partial(nn.ReLU, inplace=True)


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalization and activation, in that order; ``act=None`` leaves the output linear.

    The padding keeps the size at stride 1 (kernel // 2). The children's names, ``conv``, ``norm`` and ``act``, are
    part of the contract: folding, quantization and profiles go by them.
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
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = norm(c_out)
        self.act = act() if act is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


def depthwise(channels: int, kernel: int = 3, stride: int = 1, *, act: Activation | None = None) -> ConvNormAct:
    """One filter for each channel, then batch normalization; linear unless ``act`` is given."""
    return ConvNormAct(channels, channels, kernel, stride, groups=channels, act=act)
