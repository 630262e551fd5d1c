"""ShuffleNetV2+, from the authors' release, https://github.com/megvii-model/ShuffleNet-Series.

ShuffleNet V2 with what a search and MobileNetV3 had found since: kernels up to 7x7, branches of three depthwise
convolutions ("Xception"), hard-swish and gates in the later stages, a second layer in the classifier. The release
names the branch of every unit in its training script, the same for the three widths. No paper describes it.
"""

from functools import partial

from torch import Tensor, nn

from riffle.layers.attention import Gate
from riffle.layers.conv import Activation, ConvNormAct, depthwise, relu
from riffle.layers.image_classifier import ImageClassifier
from riffle.models.shufflenet_v2 import AuthorsShuffleDownUnit, AuthorsShuffleUnit, Branch, narrow_branch, projection
from riffle.registry import register

C_STEM = 16
C_NECK = 1280

hard_swish = partial(nn.Hardswish, inplace=True)


class NormedSqueezeExcite(nn.Module):
    """Squeeze-and-excitation to a quarter, with a norm within, without biases, and with the hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = ConvNormAct(channels, channels // 4)
        self.excite = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.scale = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        return x * self.scale(self.excite(self.squeeze(self.pool(x))))  # type: ignore[no-any-return]


def xception_branch(c_in: int, hidden: int, c_out: int, *, act: Activation, gate: Gate | None = None) -> nn.Sequential:
    """Three times depthwise 3x3 without activation and 1x1."""
    branch = nn.Sequential(
        depthwise(c_in),
        ConvNormAct(c_in, hidden, act=act),
        depthwise(hidden),
        ConvNormAct(hidden, hidden, act=act),
        depthwise(hidden),
        ConvNormAct(hidden, c_out, act=act),
    )
    return branch if gate is None else branch.append(gate(c_out))


narrow_3, narrow_5, narrow_7 = (partial(narrow_branch, kernel=kernel) for kernel in (3, 5, 7))
gate = NormedSqueezeExcite

STAGES: tuple[tuple[Activation, Gate | None, int, tuple[Branch, ...]], ...] = (
    # act, gate, kernel of the first unit's projection, branches of the units
    (relu, None, 3, (narrow_3, narrow_3, xception_branch, narrow_5)),
    (hard_swish, None, 5, (narrow_5, narrow_5, narrow_3, narrow_3)),
    (hard_swish, gate, 7, (narrow_7, narrow_3, narrow_7, narrow_5, narrow_5, narrow_3, narrow_7, narrow_3)),
    (hard_swish, gate, 7, (narrow_7, narrow_5, xception_branch, narrow_7)),
)


class ShuffleNetV2Plus(ImageClassifier):
    """The release's ``network.py`` with the branches of its ``train.py``. No layer has a bias."""

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = ConvNormAct(in_channels, C_STEM, 3, stride=2, act=hard_swish)
        self.stages = nn.Sequential()
        c_in = C_STEM
        for c_out, (act, gate, kernel, branches) in zip(widths, STAGES, strict=True):
            first, *others = (partial(branch, act=act, gate=gate) for branch in branches)
            project = partial(projection, kernel=kernel, act=act)
            stage = nn.Sequential(AuthorsShuffleDownUnit(c_in, c_out, branch=first, projection=project))
            stage.extend(AuthorsShuffleUnit(c_out, branch=branch) for branch in others)
            self.stages.append(stage)
            c_in = c_out
        self.neck = ConvNormAct(c_in, C_NECK, act=hard_swish)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), NormedSqueezeExcite(C_NECK), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(C_NECK, C_NECK, bias=False),
            hard_swish(),
            nn.Dropout(dropout),
            nn.Linear(C_NECK, num_classes, bias=False),
        )


VARIANTS = {
    "shufflenet_v2_plus_small": dict(widths=(36, 104, 208, 416)),
    "shufflenet_v2_plus_medium": dict(widths=(48, 128, 256, 512)),
    "shufflenet_v2_plus_large": dict(widths=(68, 168, 336, 672)),
}
register(ShuffleNetV2Plus, VARIANTS)
