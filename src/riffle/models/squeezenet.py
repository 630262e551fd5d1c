"""SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, https://arxiv.org/abs/1602.07360.

SqueezeNet 1.1 is the authors' own later release (https://github.com/forresti/SqueezeNet): a smaller first convolution
and earlier pools, hence less than half of the work. Table 1 prints an input of 224 pixels, but its 111x111 after the
first convolution is that of 227.
"""

from collections.abc import Callable

from torch import Tensor, cat, nn

from riffle.layers.conv import ConvNormAct, relu
from riffle.layers.image_classifier import ImageClassifier
from riffle.layers.initial import he_normal
from riffle.registry import register

FireMaker = Callable[[int, int, int, int], nn.Module]

FIRES = (
    # Table 1: squeeze 1x1, expand 1x1, expand 3x3
    (16, 64, 64),  # fire2
    (16, 64, 64),  # fire3
    (32, 128, 128),  # fire4
    (32, 128, 128),  # fire5
    (48, 192, 192),  # fire6
    (48, 192, 192),  # fire7
    (64, 256, 256),  # fire8
    (64, 256, 256),  # fire9
)


class Fire(nn.Module):
    """Fig. 1: few 1x1 filters, then 1x1 and 3x3 filters side by side."""

    def __init__(self, c_in: int, squeeze: int, expand_1x1: int, expand_3x3: int) -> None:
        super().__init__()
        self.squeeze = ConvNormAct(c_in, squeeze, norm=None)
        self.expand_1x1 = ConvNormAct(squeeze, expand_1x1, norm=None)
        self.expand_3x3 = ConvNormAct(squeeze, expand_3x3, 3, norm=None)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, expand_1x1 + expand_3x3, height, width)."""
        x = self.squeeze(x)
        return cat((self.expand_1x1(x), self.expand_3x3(x)), dim=1)


class BypassFire(nn.Module):
    """A fire module beside a bypass, added (Fig. 2, middle and right)."""

    def __init__(self, fire: Fire, bypass: nn.Module) -> None:
        super().__init__()
        self.fire = fire
        self.bypass = bypass

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, the fire module's output, height, width)."""
        return self.fire(x) + self.bypass(x)  # type: ignore[no-any-return]


def simple_bypass(c_in: int, squeeze: int, expand_1x1: int, expand_3x3: int) -> nn.Module:
    """A wire around the module where that keeps the number of channels: fire3, 5, 7 and 9."""
    fire = Fire(c_in, squeeze, expand_1x1, expand_3x3)
    return BypassFire(fire, nn.Identity()) if c_in == expand_1x1 + expand_3x3 else fire


def complex_bypass(c_in: int, squeeze: int, expand_1x1: int, expand_3x3: int) -> nn.Module:
    """The same, and a 1x1 convolution around the other modules."""
    c_out = expand_1x1 + expand_3x3
    wire = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)
    return BypassFire(Fire(c_in, squeeze, expand_1x1, expand_3x3), wire)


class SqueezeNet(ImageClassifier):
    """Table 1; ``repeats`` has the fire modules behind each of the three maxpools.

    The classes are told apart before pooling, so the average is the classifier's last step and ``pool`` does nothing.
    """

    def __init__(
        self,
        stem: tuple[int, int],
        repeats: tuple[int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        fire: FireMaker = Fire,
    ) -> None:
        super().__init__()
        c_in, kernel = stem
        self.stem = nn.Sequential(nn.Conv2d(in_channels, c_in, kernel, stride=2), relu())
        self.stages = nn.Sequential()
        rows = iter(FIRES)
        for count in repeats:
            stage = nn.Sequential(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            for _ in range(count):
                squeeze, expand_1x1, expand_3x3 = next(rows)
                stage.append(fire(c_in, squeeze, expand_1x1, expand_3x3))
                c_in = expand_1x1 + expand_3x3
            self.stages.append(stage)
        self.neck = nn.Identity()
        self.pool = nn.Identity()
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv2d(c_in, num_classes, 1),
            relu(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        he_normal(self)


VARIANTS = {
    #                     stem: channels, kernel; fire modules per stage
    "squeezenet1_0": dict(stem=(96, 7), repeats=(3, 4, 1)),
    "squeezenet1_1": dict(stem=(64, 3), repeats=(2, 2, 4)),
}
# Table 3. It prints 7.7MB for the complex bypass, which cannot be had: a 1x1 convolution around fire2, 4, 6 and 8
# (section 6, Fig. 2) makes 1,589,672 parameters, 6.1MB by the measure of the other rows (4.8MB for 1,248,424).
BYPASSED = {
    "squeezenet1_0_simple_bypass": {**VARIANTS["squeezenet1_0"], "fire": simple_bypass},
    "squeezenet1_0_complex_bypass": {**VARIANTS["squeezenet1_0"], "fire": complex_bypass},
}
register(SqueezeNet, {**VARIANTS, **BYPASSED})
