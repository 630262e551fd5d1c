"""ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, https://arxiv.org/abs/1807.11164.

Two layouts are in use, and weights of both. torchvision's shuffles at the end of every unit. The authors' release
splits even from odd channels at the start of a unit, which is the same shuffle one unit later, and its first unit
of stage 2 hands the stem's 24 channels on where torchvision's projects them to half of the stage's width. The paper's
complexities (146M, 299M, 591M) are those of the authors' layout.
"""

from typing import Any

from torch import Tensor, cat, nn

from riffle.layers.conv import ConvNormAct, depthwise
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.shuffle import channel_shuffle, split_even_odd, split_halves
from riffle.registry import register

REPEATS = (4, 8, 4)  # Table 5: units in stages 2, 3 and 4, the first of each with stride 2
C_STEM = 24


def narrow_branch(c_in: int, hidden: int, c_out: int, *, stride: int = 1) -> nn.Sequential:
    """1x1, depthwise 3x3 without activation, 1x1: the right branch of Fig. 3c and 3d."""
    return nn.Sequential(
        ConvNormAct(c_in, hidden),
        depthwise(hidden, stride=stride),
        ConvNormAct(hidden, c_out),
    )


def projection(c_in: int, c_out: int) -> nn.Sequential:
    """Depthwise 3x3 of stride 2, then 1x1: the left branch of Fig. 3d."""
    return nn.Sequential(depthwise(c_in, stride=2), ConvNormAct(c_in, c_out))


class ShuffleUnit(nn.Module):
    """Fig. 3c: half of the channels pass, the other half is transformed; then the shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = narrow_branch(half, half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_halves(x)
        return channel_shuffle(cat((passed, self.branch(taken)), dim=1), 2)


class ShuffleDownUnit(nn.Module):
    """Fig. 3d: no split; both branches halve the resolution; then the shuffle."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.projection = projection(c_in, c_out // 2)
        self.branch = narrow_branch(c_in, c_out // 2, c_out // 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, half the height, half the width)."""
        return channel_shuffle(cat((self.projection(x), self.branch(x)), dim=1), 2)


class ShuffleNetV2(ImageClassifier):
    """Table 5 in torchvision's layout."""

    unit: type[nn.Module] = ShuffleUnit
    down_unit: type[nn.Module] = ShuffleDownUnit

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        *c_stages, c_neck = widths
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, C_STEM, 3, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.Sequential()
        c_in = C_STEM
        for c_out, repeats in zip(c_stages, REPEATS, strict=True):
            units = [self.unit(c_out) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(self.down_unit(c_in, c_out), *units))
            c_in = c_out
        self.neck = ConvNormAct(c_in, c_neck)
        self.pool = global_pool()
        self.classifier = head(c_neck, num_classes, dropout=dropout)


class AuthorsShuffleUnit(nn.Module):
    """Fig. 3c as released: the shuffle of the unit before is done by splitting even from odd channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = narrow_branch(half, half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_even_odd(x)
        return cat((passed, self.branch(taken)), dim=1)


class AuthorsShuffleDownUnit(nn.Module):
    """Fig. 3d as released: the projection keeps its input's width, and the branch fills up the rest."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.branch = narrow_branch(c_in, c_out // 2, c_out - c_in, stride=2)
        self.projection = projection(c_in, c_in)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, half the height, half the width)."""
        y = self.branch(x)
        return cat((self.projection(x), y), dim=1)


class AuthorsShuffleNetV2(ShuffleNetV2):
    """Table 5 in the layout of the authors' release.

    The classifier has a bias, as in the paper's parameter counts; the released weights have none, which is a bias of 0.
    """

    unit = AuthorsShuffleUnit
    down_unit = AuthorsShuffleDownUnit


VARIANTS = {
    #                                  stage 2, 3, 4, neck
    "shufflenet_v2_x0_5": dict(widths=(48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": dict(widths=(116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": dict(widths=(176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": dict(widths=(244, 488, 976, 2048)),
}
AUTHORS: dict[str, dict[str, Any]] = {
    #                                          stage 2, 3, 4, neck
    "shufflenet_v2_x0_5_authors": dict(widths=(48, 96, 192, 1024)),
    "shufflenet_v2_x1_0_authors": dict(widths=(116, 232, 464, 1024)),
    "shufflenet_v2_x1_5_authors": dict(widths=(176, 352, 704, 1024)),
    "shufflenet_v2_x2_0_authors": dict(widths=(244, 488, 976, 2048), dropout=0.2),
}
register(ShuffleNetV2, VARIANTS)
register(AuthorsShuffleNetV2, AUTHORS)
