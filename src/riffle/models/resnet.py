"""Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385.

The authors halve the resolution in the first 1x1 convolution of a bottleneck, and the paper's complexities (3.8, 7.6
and 11.3 billion) count that: the ``_v1`` rows. Later trainings, torchvision's among them, halve it in the 3x3
convolution ("V1.5"): the plain names. Both have the same parameters, and the weights of one are wrong in the other.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from riffle.layers.attention import Gate
from riffle.layers.conv import ConvNormAct
from riffle.layers.drop_path import DropPath, rising
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.registry import register

C_STEM = 64
WIDTHS = (64, 128, 256, 512)  # Table 1: of the 3x3 convolutions in conv2_x to conv5_x


class ResidualBlock(nn.Module):
    """Equations 1 and 2: what a branch gives is added to its input; the last ReLU stands behind the addition.

    A gate weighs the branch, not the sum.
    """

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module, c_out: int, *, gate: Gate | None, drop_path: float
    ) -> None:
        super().__init__()
        self.branch = branch
        self.gate = gate(c_out) if gate is not None else nn.Identity()
        self.drop_path = DropPath(drop_path)
        self.shortcut = shortcut
        self.act = nn.ReLU(inplace=True)
        self.c_out = c_out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        y = self.drop_path(self.gate(self.branch(x)))
        return self.act(y + self.shortcut(x))  # type: ignore[no-any-return]


def projection(c_in: int, c_out: int, stride: int, kernel: int = 1) -> nn.Module:
    """Option B of Section 3.3: a convolution where the shape changes, the input itself where it does not."""
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return ConvNormAct(c_in, c_out, kernel, stride, act=None)


class BasicBlock(ResidualBlock):
    """Fig. 5, left: two 3x3 convolutions.

    ``group_width`` is the width of one of the ``groups`` in conv2_x, where ``width`` is 64; later stages double both.
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        stride: int = 1,
        *,
        groups: int = 1,
        group_width: int = 64,
        gate: Gate | None = None,
        drop_path: float = 0.0,
    ) -> None:
        c_out = groups * group_width * width // 64
        branch = nn.Sequential(
            ConvNormAct(c_in, c_out, 3, stride, groups=groups),
            ConvNormAct(c_out, c_out, 3, groups=groups, act=None),
        )
        super().__init__(branch, projection(c_in, c_out, stride), c_out, gate=gate, drop_path=drop_path)


class Bottleneck(ResidualBlock):
    """Fig. 5, right: 1x1, 3x3, 1x1, the last four times as wide as ``width``, the stride in the 3x3 convolution.

    ``group_width`` is the width of one of the ``groups`` in conv2_x, where ``width`` is 64; later stages double both.
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        stride: int = 1,
        *,
        groups: int = 1,
        group_width: int = 64,
        gate: Gate | None = None,
        drop_path: float = 0.0,
    ) -> None:
        c_out = 4 * width
        branch = self.convolutions(c_in, groups * group_width * width // 64, c_out, stride, groups)
        super().__init__(branch, self.shortcut_of(c_in, c_out, stride), c_out, gate=gate, drop_path=drop_path)

    @staticmethod
    def convolutions(c_in: int, hidden: int, c_out: int, stride: int, groups: int) -> nn.Sequential:
        """The branch."""
        return nn.Sequential(
            ConvNormAct(c_in, hidden),
            ConvNormAct(hidden, hidden, 3, stride, groups=groups),
            ConvNormAct(hidden, c_out, act=None),
        )

    @staticmethod
    def shortcut_of(c_in: int, c_out: int, stride: int) -> nn.Module:
        """What the branch is added to."""
        return projection(c_in, c_out, stride)


class EarlyBottleneck(Bottleneck):
    """Fig. 5, right, with the stride in the first 1x1 convolution, as the authors' networks have it."""

    @staticmethod
    def convolutions(c_in: int, hidden: int, c_out: int, stride: int, groups: int) -> nn.Sequential:
        """The branch."""
        return nn.Sequential(
            ConvNormAct(c_in, hidden, stride=stride),
            ConvNormAct(hidden, hidden, 3, groups=groups),
            ConvNormAct(hidden, c_out, act=None),
        )


def residual_stages(
    block: Callable[..., ResidualBlock], repeats: Sequence[int], c_in: int, *, drop_path: float = 0.0
) -> nn.Sequential:
    """conv2_x to conv5_x; all but the first begin with stride 2."""
    stages = nn.Sequential()
    rates = iter(rising(drop_path, sum(repeats)))
    for width, count in zip(WIDTHS, repeats, strict=True):
        stage = nn.Sequential()
        for index in range(count):
            unit = block(c_in, width, 2 if index == 0 and width > WIDTHS[0] else 1, drop_path=next(rates))
            stage.append(unit)
            c_in = unit.c_out
        stages.append(stage)
    return stages


def padded_pool() -> nn.MaxPool2d:
    """The maximum of 3x3 at stride 2, padded on all sides."""
    return nn.MaxPool2d(3, stride=2, padding=1)


class ResNet(ImageClassifier):
    """Table 1; stochastic depth (``drop_path``) is younger than the paper."""

    stem_pool: Callable[[], nn.Module] = staticmethod(padded_pool)

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        repeats: tuple[int, int, int, int],
        *,
        groups: int = 1,
        group_width: int = 64,
        gate: Gate | None = None,
        num_classes: int = 1000,
        in_channels: int = 3,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(in_channels, C_STEM, 7, stride=2), self.stem_pool())
        unit = partial(block, groups=groups, group_width=group_width, gate=gate)
        self.stages = residual_stages(unit, repeats, C_STEM, drop_path=drop_path)
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = nn.Linear(self.stages[-1][-1].c_out, num_classes)  # type: ignore[index]


VARIANTS = {
    #                                           blocks in conv2_x to conv5_x
    "resnet18": dict(block=BasicBlock, repeats=(2, 2, 2, 2)),
    "resnet34": dict(block=BasicBlock, repeats=(3, 4, 6, 3)),
    "resnet50": dict(block=Bottleneck, repeats=(3, 4, 6, 3)),
    "resnet101": dict(block=Bottleneck, repeats=(3, 4, 23, 3)),
    "resnet152": dict(block=Bottleneck, repeats=(3, 8, 36, 3)),
    "resnet50_v1": dict(block=EarlyBottleneck, repeats=(3, 4, 6, 3)),
    "resnet101_v1": dict(block=EarlyBottleneck, repeats=(3, 4, 23, 3)),
    "resnet152_v1": dict(block=EarlyBottleneck, repeats=(3, 8, 36, 3)),
    # Wide Residual Networks, https://arxiv.org/abs/1605.07146: the inner convolutions are twice as wide.
    "wide_resnet50_2": dict(block=Bottleneck, repeats=(3, 4, 6, 3), group_width=128),
    "wide_resnet101_2": dict(block=Bottleneck, repeats=(3, 4, 23, 3), group_width=128),
}
register(ResNet, VARIANTS)
