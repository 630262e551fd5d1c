"""ShuffleNetV2.Large, from the authors' release, https://github.com/megvii-model/ShuffleNet-Series.

Its branches have what ShuffleNet V2's light ones have not: a grouped 3x3 convolution between two activations, the same
width within as without, and a gate. The release trains it with three more classifiers, behind the first three stages,
and counts their 15,564,728 parameters in its 140.7M; they take no part in the answer, and are left out here. Its
multiply-accumulates (12.7G) are without them. It subtracts a mean picture from its input, BGR in 0..255.
"""

from functools import partial

from torch import Tensor, cat, nn

from riffle.layers.attention import squeeze_excite
from riffle.layers.conv import ConvNormAct
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.shuffle import split_even_odd
from riffle.registry import register

STEM = (64, 64, 128)
GROUPS = 8
C_NECK = 1280

unit = partial(ConvNormAct, norm=partial(nn.BatchNorm2d, eps=1e-9))
gate = squeeze_excite(1)


def wide_branch(c_in: int, c_out: int, *, stride: int = 1) -> nn.Sequential:
    """1x1, grouped 3x3, linear 1x1, gate."""
    return nn.Sequential(
        unit(c_in, c_out),
        unit(c_out, c_out, 3, stride, groups=GROUPS),
        unit(c_out, c_out, act=None),
        gate(c_out),
    )


class LargeUnit(nn.Module):
    """Half of the channels pass; the other half is added to what its branch makes of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = wide_branch(channels // 2, channels // 2)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_even_odd(x)
        return self.act(cat((passed, taken + self.branch(taken)), dim=1))  # type: ignore[no-any-return]


class LargeFirstUnit(nn.Module):
    """Splits as well: one half through a dense 3x3 convolution, the other through the branch, not added."""

    def __init__(self, c_in: int, c_out: int, *, stride: int) -> None:
        super().__init__()
        self.projection = unit(c_in // 2, c_out // 2, 3, stride, act=None)
        self.branch = wide_branch(c_in // 2, c_out // 2, stride=stride)
        self.act = nn.ReLU(inplace=True)
        self.mix = unit(c_out, c_out) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        passed, taken = split_even_odd(x)
        projected = self.projection(passed)
        return self.mix(self.act(cat((projected, self.branch(taken)), dim=1)))  # type: ignore[no-any-return]


class LargeShuffleNetV2(ImageClassifier):
    """The release's ``network.py``, as it answers."""

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        repeats: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            unit(in_channels, STEM[0], 3, stride=2),
            unit(STEM[0], STEM[1], 3),
            unit(STEM[1], STEM[2], 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.Sequential()
        c_in = STEM[-1]
        for c_out, count, stride in zip(widths, repeats, (1, 2, 2, 2), strict=True):
            units = [LargeUnit(c_out) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(LargeFirstUnit(c_in, c_out, stride=stride), *units))
            c_in = c_out
        self.neck = unit(c_in, C_NECK, 3)
        self.pool = global_pool()
        self.classifier = head(C_NECK, num_classes, dropout=dropout)


VARIANTS = {"shufflenet_v2_large": dict(widths=(256, 512, 1024, 2048), repeats=(10, 10, 23, 10))}
register(LargeShuffleNetV2, VARIANTS)
