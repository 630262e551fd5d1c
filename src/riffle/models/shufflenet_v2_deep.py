"""The deep networks of the ShuffleNet V2 paper's appendix (Appendix Table 2), https://arxiv.org/abs/1807.11164.

Nothing of them was released: the authors' ``ShuffleNetV2.Large``, which has the accuracy that the paper prints for
SE-ShuffleNet v2-164, is another network (:mod:`riffle.models.shufflenet_v2_large`). The table does not say how wide the
branches of a stage's first unit are; here both have half of the unit's channels, as in torchvision's layout.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, cat, nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.conv import ConvNormAct, depthwise
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.shuffle import channel_shuffle, split_halves
from riffle.models.shufflenet_v2 import ShuffleDownUnit, ShuffleUnit, narrow_branch
from riffle.registry import register

C_NECK = 2048


class ResidualShuffleUnit(nn.Module):
    """Appendix Fig. 2c, without a gate 2a: the transformed half is added to what it was, and activated."""

    def __init__(self, channels: int, *, gate: Gate | None = None) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(ConvNormAct(half, half), depthwise(half), ConvNormAct(half, half, act=None))
        if gate is not None:
            self.branch.append(gate(half))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        passed, taken = split_halves(x)
        return channel_shuffle(cat((passed, self.act(taken + self.branch(taken))), dim=1), 2)


class DeepShuffleNetV2(ImageClassifier):
    """A column of Appendix Table 2: the first stage keeps the resolution that the stem's pooling leaves.

    ``stem`` has the widths of its 3x3 convolutions. A stage's first unit is never residual: its width changes.
    """

    def __init__(
        self,
        stem: tuple[int, ...],
        widths: tuple[int, int, int, int],
        repeats: tuple[int, int, int, int],
        *,
        first_unit: Callable[..., nn.Module] = ShuffleDownUnit,
        unit: Callable[[int], nn.Module] = ShuffleUnit,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(in_channels, stem[0], 3, stride=2))
        for c_in, c_out in pairwise(stem):
            self.stem.append(ConvNormAct(c_in, c_out, 3))
        self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stages = nn.Sequential()
        c_in = stem[-1]
        for c_out, count, stride in zip(widths, repeats, (1, 2, 2, 2), strict=True):
            units = [unit(c_out) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(first_unit(c_in, c_out, stride=stride), *units))
            c_in = c_out
        self.neck = ConvNormAct(c_in, C_NECK)
        self.pool = global_pool()
        self.classifier = head(C_NECK, num_classes)


GATE = squeeze_excite(2)
VARIANTS: dict[str, dict[str, Any]] = {
    #                        conv1       conv2 to conv5                   units in each
    "shufflenet_v2_50": dict(stem=(64,), widths=(244, 488, 976, 1952), repeats=(3, 4, 6, 3)),
    # By the caption the gates' hidden layers have half of the channels: here, half of those that the gate weighs. The
    # paper prints 12.7G, 1% more than its table adds up to; hidden layers twice as wide would make it 12.60G.
    "se_shufflenet_v2_164": dict(
        stem=(64, 64, 128),
        widths=(340, 680, 1360, 2720),
        repeats=(10, 10, 23, 10),
        first_unit=partial(ShuffleDownUnit, branch=partial(narrow_branch, gate=GATE)),
        unit=partial(ResidualShuffleUnit, gate=GATE),
    ),
}
register(DeepShuffleNetV2, VARIANTS)
