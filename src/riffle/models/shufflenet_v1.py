"""ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices, https://arxiv.org/abs/1707.01083.

Three layouts are in use. The paper's shuffles between the first two convolutions of a unit and joins the shortcut and
the branch in this order; the authors' release shuffles one convolution later; pytorchcv joins branch and shortcut. The
numbers are the same, the weights of one do not fit the others: grouped convolutions tell the channels' order.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.conv import ConvNormAct, depthwise
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.layers.shuffle import ChannelShuffle
from riffle.registry import register

REPEATS = (4, 8, 4)  # Table 1: units in stages 2, 3 and 4, the first of each with stride 2


Branch = Callable[[int, int, int, int], nn.Module]
"""Makes a bottleneck from c_in, c_out, hidden and stride."""


def bottleneck(
    c_in: int, c_out: int, hidden: int, stride: int, *, groups: int, first_groups: int, shuffle_late: bool
) -> nn.Sequential:
    """Grouped 1x1, channel shuffle, depthwise 3x3 without activation, grouped linear 1x1 (Fig. 2b and 2c).

    The authors' release (``shuffle_late``) shuffles after the depthwise convolution, and deals the channels the other
    way: into as many groups as a group has channels, the inverse permutation. So its weights need its layout.
    """
    layers = OrderedDict[str, nn.Module](
        expand=ConvNormAct(c_in, hidden, groups=first_groups),
        shuffle=ChannelShuffle(hidden // groups if shuffle_late else groups),
        depthwise=depthwise(hidden, stride=stride),
        project=ConvNormAct(hidden, c_out, groups=groups, act=None),
    )
    if shuffle_late:
        layers.move_to_end("shuffle")
        layers.move_to_end("project")
    if groups == 1:
        del layers["shuffle"]
    return nn.Sequential(layers)


class ShuffleUnit(nn.Module):
    """Fig. 2b: the bottleneck beside a shortcut, added; a gate weighs the bottleneck's output."""

    def __init__(self, channels: int, *, branch: Branch, gate: Gate | None = None) -> None:
        super().__init__()
        self.branch = branch(channels, channels, channels // 4, 1)
        self.gate = gate(channels) if gate is not None else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        return self.act(x + self.gate(self.branch(x)))  # type: ignore[no-any-return]


class ShuffleDownUnit(nn.Module):
    """Fig. 2c: stride 2; the averaged input and the bottleneck's output side by side."""

    def __init__(self, c_in: int, c_out: int, *, branch: Branch, gate: Gate | None = None) -> None:
        super().__init__()
        self.branch = branch(c_in, c_out - c_in, c_out // 4, 2)
        self.gate = gate(c_out - c_in) if gate is not None else nn.Identity()
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, half the height, half the width)."""
        return self.act(torch.cat((self.shortcut(x), self.gate(self.branch(x))), dim=1))  # type: ignore[no-any-return]


class BranchFirstDownUnit(ShuffleDownUnit):
    """Fig. 2c as in pytorchcv: the bottleneck's output before the averaged input."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, half the height, half the width)."""
        return self.act(torch.cat((self.gate(self.branch(x)), self.shortcut(x)), dim=1))  # type: ignore[no-any-return]


class JointlyGatedDownUnit(ShuffleDownUnit):
    """Fig. 2c with a gate that weighs all of the output, the averaged input too."""

    def __init__(self, c_in: int, c_out: int, *, branch: Branch, gate: Gate) -> None:
        super().__init__(c_in, c_out, branch=branch)
        self.gate = gate(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, half the height, half the width)."""
        return self.act(self.gate(torch.cat((self.shortcut(x), self.branch(x)), dim=1)))  # type: ignore[no-any-return]


class ShuffleNetV1(ImageClassifier):
    """Table 1, with ``groups`` choosing its column; ``gate`` makes the squeeze-and-excitation of Table 5.

    The first bottleneck of all has a dense first convolution, since its input is narrow (Table 1's caption).
    """

    def __init__(
        self,
        groups: int,
        widths: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        classifier_bias: bool = True,
        shuffle_late: bool = False,
        down_unit: Callable[..., nn.Module] = ShuffleDownUnit,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        c_stem, *c_stages = widths
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, c_stem, 3, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        dense = partial(bottleneck, groups=groups, first_groups=1, shuffle_late=shuffle_late)
        grouped = partial(bottleneck, groups=groups, first_groups=groups, shuffle_late=shuffle_late)
        self.stages = nn.Sequential()
        c_in = c_stem
        for c_out, repeats in zip(c_stages, REPEATS, strict=True):
            first = down_unit(c_in, c_out, branch=grouped if len(self.stages) else dense, gate=gate)
            units = [ShuffleUnit(c_out, branch=grouped, gate=gate) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(first, *units))
            c_in = c_out
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = nn.Linear(c_in, num_classes, bias=classifier_bias)


# Table 1 has the widths at x1. Where a scaled width cannot be divided by the groups the paper is silent; the rows
# below then follow tensorpack's rule: stages rounded up to a multiple of 4 g, the stem to a multiple of g. The stem is
# scaled at x0.25, x0.5 and x2 but not at x1.5: only so do the complexities of Tables 2 and 5 come out.
VARIANTS = {
    #                                                 stem, stage 2, 3, 4
    "shufflenet_v1_g1_x0_25": dict(groups=1, widths=(6, 36, 72, 144)),
    "shufflenet_v1_g1_x0_5": dict(groups=1, widths=(12, 72, 144, 288)),
    "shufflenet_v1_g1_x1_0": dict(groups=1, widths=(24, 144, 288, 576)),
    "shufflenet_v1_g2_x0_25": dict(groups=2, widths=(6, 56, 104, 200)),
    "shufflenet_v1_g2_x0_5": dict(groups=2, widths=(12, 104, 200, 400)),
    "shufflenet_v1_g2_x1_0": dict(groups=2, widths=(24, 200, 400, 800)),
    "shufflenet_v1_g3_x0_25": dict(groups=3, widths=(6, 60, 120, 240)),
    "shufflenet_v1_g3_x0_5": dict(groups=3, widths=(12, 120, 240, 480)),
    "shufflenet_v1_g3_x1_0": dict(groups=3, widths=(24, 240, 480, 960)),
    "shufflenet_v1_g3_x1_5": dict(groups=3, widths=(24, 360, 720, 1440)),
    "shufflenet_v1_g3_x2_0": dict(groups=3, widths=(48, 480, 960, 1920)),
    "shufflenet_v1_g4_x0_25": dict(groups=4, widths=(8, 80, 144, 272)),
    "shufflenet_v1_g4_x0_5": dict(groups=4, widths=(12, 144, 272, 544)),
    "shufflenet_v1_g4_x1_0": dict(groups=4, widths=(24, 272, 544, 1088)),
    "shufflenet_v1_g8_x0_25": dict(groups=8, widths=(8, 96, 192, 384)),
    "shufflenet_v1_g8_x0_5": dict(groups=8, widths=(16, 192, 384, 768)),
    "shufflenet_v1_g8_x1_0": dict(groups=8, widths=(24, 384, 768, 1536)),
    "shufflenet_v1_g8_x1_5": dict(groups=8, widths=(24, 576, 1152, 2304)),
    "shufflenet_v1_g8_x2_0": dict(groups=8, widths=(48, 768, 1536, 3072)),
}
# The authors' release (ShuffleNet-Series) has the groups 3 and 8 at four scales, and no bias in the classifier.
RELEASED = {
    f"{name}_authors": {**row, "classifier_bias": False, "shuffle_late": True}
    for name, row in VARIANTS.items()
    if row["groups"] in (3, 8) and not name.endswith("x0_25")
}
# pytorchcv's weights: the paper's widths and two in between.
PYTORCHCV: dict[str, dict[str, Any]] = {
    #                                                          stem, stage 2, 3, 4
    "shufflenet_v1_g1_x0_25_pytorchcv": dict(groups=1, widths=(6, 36, 72, 144), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g1_x0_5_pytorchcv": dict(groups=1, widths=(12, 72, 144, 288), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g1_x0_75_pytorchcv": dict(groups=1, widths=(18, 108, 216, 432), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g1_x1_0_pytorchcv": dict(groups=1, widths=(24, 144, 288, 576), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g2_x1_0_pytorchcv": dict(groups=2, widths=(24, 200, 400, 800), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g3_x0_25_pytorchcv": dict(groups=3, widths=(6, 60, 120, 240), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g3_x0_5_pytorchcv": dict(groups=3, widths=(12, 120, 240, 480), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g3_x0_75_pytorchcv": dict(groups=3, widths=(18, 180, 360, 720), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g3_x1_0_pytorchcv": dict(groups=3, widths=(24, 240, 480, 960), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g4_x1_0_pytorchcv": dict(groups=4, widths=(24, 272, 544, 1088), down_unit=BranchFirstDownUnit),
    "shufflenet_v1_g8_x1_0_pytorchcv": dict(groups=8, widths=(24, 384, 768, 1536), down_unit=BranchFirstDownUnit),
}
# Neither paper says where the gates are, and no one place gives the numbers of both. The SENet paper's 2.4M parameters
# (Table 3) are those of gates on the branches (2.48M; on the units' whole outputs they were 2.59M). Its 142M cannot be
# had: the gates come to 0.6M, and the network without them to 137M, where it prints 140M. ShuffleNet's 527M (Table 5)
# ask for gates on the whole outputs of the units of stride 2 (526.9M; on the branches 526.5M, which rounds to 526M).
SE: dict[str, dict[str, Any]] = {
    "se_shufflenet_v1_g3_x1_0": dict(groups=3, widths=(24, 240, 480, 960), gate=squeeze_excite()),
    "se_shufflenet_v1_g3_x2_0": dict(
        groups=3, widths=(48, 480, 960, 1920), gate=squeeze_excite(), down_unit=JointlyGatedDownUnit
    ),
}
register(ShuffleNetV1, {**VARIANTS, **RELEASED, **PYTORCHCV, **SE})
