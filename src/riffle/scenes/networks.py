"""Networks for windows of a scene: HybridSN, what its readers add to it, and baselines.

All take any number of bands and classes and, with the limits that unpadded convolutions set, any window.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from torch import Tensor, nn

from riffle import registry, zoo
from riffle.layers.attention import CBAM, SqueezeExcite
from riffle.layers.conv import relu
from riffle.layers.image_classifier import global_pool
from riffle.models.hybridsn import LEAST_BANDS, LEAST_SIZE, SPATIAL, SPECTRAL, HybridSN

Constructor = Callable[[int, int, int], nn.Module]
"""From bands, classes and window to a network with fresh weights."""


class ResidualConv3d(nn.Module):
    """An unpadded 3-D convolution plus a 1x1x1 projection of the middle of what it sees, then ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv3d(c_in, c_out, kernel)
        self.shortcut = nn.Conv3d(c_in, c_out, 1, bias=False)
        self.act = relu()
        self.margins = tuple(side // 2 for side in kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, bands, height, width) to (batch, c_out, …), each side shorter by the kernel less one."""
        bands, high, wide = (slice(margin, -margin) for margin in self.margins)
        return self.act(self.conv(x) + self.shortcut(x[:, :, bands, high, wide]))  # type: ignore[no-any-return]


def hybridsn(bands: int, classes: int, window: int) -> HybridSN:
    """The paper's network."""
    return HybridSN(bands, num_classes=classes, size=window)


def hybridsn_residual(bands: int, classes: int, window: int) -> HybridSN:
    """Shortcuts around the three 3-D convolutions."""
    network = hybridsn(bands, classes, window)
    spectral = nn.Sequential()
    c_in = 1
    for c_out, kernel in SPECTRAL:
        spectral.append(ResidualConv3d(c_in, c_out, kernel))
        c_in = c_out
    spectral.append(nn.Flatten(1, 2))
    network.stages[0] = spectral
    return network


def hybridsn_se(bands: int, classes: int, window: int) -> HybridSN:
    """Squeeze-and-excitation behind the 2-D convolution."""
    network = hybridsn(bands, classes, window)
    network.stages.append(SqueezeExcite(SPATIAL[0], SPATIAL[0] // 16))
    return network


def hybridsn_cbam(bands: int, classes: int, window: int) -> HybridSN:
    """CBAM behind the 2-D convolution."""
    network = hybridsn(bands, classes, window)
    network.stages.append(CBAM(SPATIAL[0]))
    return network


def separable(bands: int, classes: int, window: int) -> nn.Sequential:
    """A small network for slow processors: depthwise convolutions shrink the window to its middle, 1x1 ones mix.

    Its trunk goes down to one pixel, so over a scene nothing at all is computed twice.
    """
    width = 64
    parts: list[nn.Module] = [nn.Conv2d(bands, width, 1, bias=False), nn.BatchNorm2d(width), relu()]
    while window > 1:
        kernel = 5 if window >= 5 else 3
        parts += [nn.Conv2d(width, width, kernel, groups=width, bias=False), nn.BatchNorm2d(width)]
        parts += [nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), relu()]
        window -= kernel - 1
    return nn.Sequential(*parts, nn.Flatten(), nn.Dropout(0.2), nn.Linear(width, classes))


def cnn_2d(bands: int, classes: int, window: int) -> nn.Sequential:
    """Baseline: three 3x3 convolutions over space, their means, one linear layer."""
    _check("cnn_2d", window, least=7)
    parts: list[nn.Module] = []
    c_in = bands
    for c_out in (64, 128, 256):
        parts += [nn.Conv2d(c_in, c_out, 3, bias=False), nn.BatchNorm2d(c_out), relu()]
        c_in = c_out
    return nn.Sequential(*parts, *global_pool(), nn.Dropout(0.4), nn.Linear(c_in, classes))


def cnn_3d(bands: int, classes: int, window: int) -> nn.Sequential:
    """Baseline: HybridSN's three 3-D convolutions, their means over space, two linear layers."""
    _check("cnn_3d", window, least=7)
    _check("cnn_3d", bands, least=LEAST_BANDS, what="components")
    parts: list[nn.Module] = []
    c_in = 1
    for c_out, kernel in SPECTRAL:
        parts += [nn.Conv3d(c_in, c_out, kernel), relu()]
        c_in = c_out
    width = c_in * (bands - LEAST_BANDS + 1)
    parts += [nn.Flatten(1, 2), *global_pool(), nn.Linear(width, 128), relu(), nn.Dropout(0.4), nn.Linear(128, classes)]
    return nn.Sequential(*parts)


@dataclass(frozen=True)
class Entry:
    """A network of the table: its constructor, and what it is in a few words."""

    make: Constructor
    about: str


NETWORKS = {
    "hybridsn": Entry(hybridsn, "HybridSN as published"),
    "hybridsn_residual": Entry(hybridsn_residual, "with shortcuts around the 3-D convolutions"),
    "hybridsn_se": Entry(hybridsn_se, "with squeeze-and-excitation behind the 2-D convolution"),
    "hybridsn_cbam": Entry(hybridsn_cbam, "with CBAM behind the 2-D convolution"),
    "separable": Entry(separable, "depthwise and 1x1 convolutions, for slow processors"),
    "cnn_2d": Entry(cnn_2d, "baseline: convolutions over space"),
    "cnn_3d": Entry(cnn_3d, "baseline: convolutions over space and spectrum"),
}
"""The image networks of the zoo work too: their ``in_channels`` are the components."""


def build(name: str, *, bands: int, classes: int, window: int) -> nn.Module:
    """A network with fresh weights.

    Raises:
        ValueError: no such network, or it does not take such bands or windows.
    """
    network = _fresh(name, bands, classes, window)
    for module in network.modules():
        # As Keras starts (Glorot and Bengio, 2010), and so the authors' notebook. Without batch normalization,
        # PyTorch's smaller numbers let the signal die, and the loss stands still for dozens of epochs.
        if name in NETWORKS and isinstance(module, nn.Conv3d | nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def _fresh(name: str, bands: int, classes: int, window: int) -> nn.Module:
    if name in NETWORKS:
        if name.startswith("hybridsn"):
            _check(name, window, least=LEAST_SIZE)
            _check(name, bands, least=LEAST_BANDS, what="components")
        return NETWORKS[name].make(bands, classes, window)
    if name not in registry.names():
        near = get_close_matches(name, [*NETWORKS, *registry.names()], n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(NETWORKS)}, or an image network of the zoo"
        raise ValueError(f"no network called {name!r}: {hint}")
    return zoo.create(name, num_classes=classes, in_channels=bands, size=window)


def _check(name: str, got: int, *, least: int, what: str = "pixels in a window") -> None:
    if got < least:
        raise ValueError(f"{name} needs at least {least} {what}; got {got}")
