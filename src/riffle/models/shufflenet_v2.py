"""ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, https://arxiv.org/abs/1807.11164.

Two layouts are in use, and weights of both. torchvision's shuffles at the end of every unit. The authors' release
splits even from odd channels at the start of a unit, which is the same shuffle but for the numbering of the channels,
and its first unit of stage 2 hands the stem's 24 channels on where torchvision's projects them to half of the stage's
width. The paper's complexities (146M, 299M, 591M) are those of the authors' layout. Where the shapes agree,
:mod:`riffle.models.shufflenet_v2_layouts` converts weights from one to the other.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, cat, nn

from riffle.layers.attention import Gate, SqueezeExcite
from riffle.layers.conv import Activation, ConvNormAct, depthwise, relu
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.shuffle import channel_shuffle, split_even_odd, split_halves
from riffle.registry import register

REPEATS = (4, 8, 4)  # Table 5: units in stages 2, 3 and 4, the first of each with stride 2
C_STEM = 24

Branch = Callable[..., nn.Module]
"""Makes a branch from the arguments of ``narrow_branch``; a ``partial`` of that one adds gates or widens kernels."""


def narrow_branch(
    c_in: int,
    hidden: int,
    c_out: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    act: Activation = relu,
    gate: Gate | None = None,
) -> nn.Sequential:
    """1x1, depthwise 3x3 without activation, 1x1: the right branch of Fig. 3c and 3d.

    A gate stands at its end (Appendix Fig. 2b).
    """
    branch = nn.Sequential(
        ConvNormAct(c_in, hidden, act=act),
        depthwise(hidden, kernel, stride),
        ConvNormAct(hidden, c_out, act=act),
    )
    return branch if gate is None else branch.append(gate(c_out))


def projection(c_in: int, c_out: int, kernel: int = 3, *, stride: int = 2, act: Activation = relu) -> nn.Sequential:
    """Depthwise 3x3 of stride 2, then 1x1: the left branch of Fig. 3d."""
    return nn.Sequential(depthwise(c_in, kernel, stride), ConvNormAct(c_in, c_out, act=act))


class ShuffleUnit(nn.Module):
    """Fig. 3c: half of the channels pass, the other half is transformed; then the shuffle."""

    def __init__(self, channels: int, *, branch: Branch = narrow_branch) -> None:
        super().__init__()
        half = channels // 2
        self.branch = branch(half, half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_halves(x)
        return channel_shuffle(cat((passed, self.branch(taken)), dim=1), 2)


class ShuffleDownUnit(nn.Module):
    """Fig. 3d: no split; both branches halve the resolution; then the shuffle."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 2, branch: Branch = narrow_branch) -> None:
        super().__init__()
        self.projection = projection(c_in, c_out // 2, stride=stride)
        self.branch = branch(c_in, c_out // 2, c_out // 2, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        return channel_shuffle(cat((self.projection(x), self.branch(x)), dim=1), 2)


class ShuffleNetV2(ImageClassifier):
    """Table 5 in torchvision's layout; ``gate`` makes the gates of Appendix Fig. 2b."""

    unit: type[nn.Module] = ShuffleUnit
    down_unit: type[nn.Module] = ShuffleDownUnit

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.0,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        *c_stages, c_neck = widths
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, C_STEM, 3, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        branch = partial(narrow_branch, gate=gate)
        self.stages = nn.Sequential()
        c_in = C_STEM
        for c_out, repeats in zip(c_stages, REPEATS, strict=True):
            units = [self.unit(c_out, branch=branch) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(self.down_unit(c_in, c_out, branch=branch), *units))
            c_in = c_out
        self.neck = ConvNormAct(c_in, c_neck)
        self.pool = global_pool()
        self.classifier = head(c_neck, num_classes, dropout=dropout)


class AuthorsShuffleUnit(nn.Module):
    """Fig. 3c as released: the shuffle of the unit before is done by splitting even from odd channels."""

    def __init__(self, channels: int, *, branch: Branch = narrow_branch) -> None:
        super().__init__()
        half = channels // 2
        self.branch = branch(half, half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_even_odd(x)
        return cat((passed, self.branch(taken)), dim=1)


class AuthorsShuffleDownUnit(nn.Module):
    """Fig. 3d as released: the projection keeps its input's width, and the branch fills up the rest."""

    def __init__(
        self, c_in: int, c_out: int, *, branch: Branch = narrow_branch, projection: Branch = projection
    ) -> None:
        super().__init__()
        self.branch = branch(c_in, c_out // 2, c_out - c_in, stride=2)
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


def as_wide_as_the_unit(channels: int) -> SqueezeExcite:
    """A gate for a branch, which has half of its unit's channels; its hidden layer has as many as the unit."""
    return SqueezeExcite(channels, 2 * channels)


VARIANTS = {
    #                                   stage 2, 3, 4, neck
    "shufflenet_v2_x0_5": dict(widths=(48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": dict(widths=(116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": dict(widths=(176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": dict(widths=(244, 488, 976, 2048)),
    # Two widths below the paper's, from PaddleClas (ppcls/arch/backbone/model_zoo/shufflenet_v2.py).
    "shufflenet_v2_x0_25": dict(widths=(24, 48, 96, 512)),
    "shufflenet_v2_x0_33": dict(widths=(32, 64, 128, 512)),
}
AUTHORS: dict[str, dict[str, Any]] = {
    #                                           stage 2, 3, 4, neck
    "shufflenet_v2_x0_5_authors": dict(widths=(48, 96, 192, 1024)),
    "shufflenet_v2_x1_0_authors": dict(widths=(116, 232, 464, 1024)),
    "shufflenet_v2_x1_5_authors": dict(widths=(176, 352, 704, 1024)),
    "shufflenet_v2_x2_0_authors": dict(widths=(244, 488, 976, 2048), dropout=0.2),
    # Table 8 has 591M without gates and 597M with them. Appendix Fig. 2b shows where they are, and no text how wide:
    # only a hidden layer as wide as the unit makes up the difference (half as wide comes to 594M, a sixteenth to 591M).
    "se_shufflenet_v2_x2_0": dict(widths=(244, 488, 976, 2048), dropout=0.2, gate=as_wide_as_the_unit),
}
register(ShuffleNetV2, VARIANTS)
register(AuthorsShuffleNetV2, AUTHORS)
