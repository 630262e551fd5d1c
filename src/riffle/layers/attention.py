"""Gates: layers that weigh what passes through them, by channel and by place."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from riffle.layers.conv import Activation, ConvNormAct, Norm, relu

Gate = Callable[[int], nn.Module]
"""Makes a gate for that many channels; its output has the shape of its input."""


class SqueezeExcite(nn.Module):
    """Each channel times a weight between 0 and 1 that all channels' means decide.

    Hu et al., Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507, Fig. 2 and equations 2 to 4.
    ``squeezed`` is the width between the two layers (channels / 16 in the paper); ``scale`` is the last function.
    """

    def __init__(self, channels: int, squeezed: int, *, act: Activation = relu, scale: Activation = nn.Sigmoid) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.act = act()
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.scale = scale()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        return x * self.scale(self.excite(self.act(self.squeeze(self.pool(x)))))  # type: ignore[no-any-return]


def squeeze_excite(reduction: int = 16) -> Gate:
    """Gates whose narrow layer has one ``reduction``-th of the channels."""
    return lambda channels: SqueezeExcite(channels, channels // reduction)


class ChannelGate(nn.Module):
    """CBAM, equation 2: one perceptron sees the channels' means and maxima; the sum decides each channel's weight."""

    def __init__(self, channels: int, squeezed: int, *, bias: bool) -> None:
        super().__init__()
        self.perceptron = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=bias),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        mean, maximum = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return x * (self.perceptron(mean) + self.perceptron(maximum)).sigmoid()  # type: ignore[no-any-return]


class SpatialGate(nn.Module):
    """CBAM, equation 3: the mean and the maximum over the channels decide each place's weight, by a 7x7 convolution."""

    def __init__(self, *, norm: Norm | None, maximum_first: bool) -> None:
        super().__init__()
        plain = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.conv = ConvNormAct(2, 1, 7, act=None, norm=norm) if norm is not None else plain
        self.maximum_first = maximum_first

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        maps = [x.mean(1, keepdim=True), x.amax(1, keepdim=True)]
        if self.maximum_first:
            maps.reverse()
        return x * self.conv(torch.cat(maps, dim=1)).sigmoid()  # type: ignore[no-any-return]


class CBAM(nn.Sequential):
    """Woo et al., CBAM: Convolutional Block Attention Module, https://arxiv.org/abs/1807.06521: channel before space.

    The paper's form has no biases, no normalization, and the mean's map first. The authors' release (``released``) has
    biases in the perceptron, batch normalization behind the 7x7 convolution, and the maximum's map first.
    """

    def __init__(self, channels: int, *, reduction: int = 16, released: bool = False) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, channels // reduction, bias=released)
        self.space = SpatialGate(norm=nn.BatchNorm2d if released else None, maximum_first=released)
