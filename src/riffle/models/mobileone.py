"""MobileOne: An Improved One millisecond Mobile Backbone, https://arxiv.org/abs/2206.04040.

The networks here have the branches that they are trained with. ``riffle.fuse`` makes them the plain stack of depthwise
and 1x1 convolutions that the paper counts and times.
"""

from typing import Any

from torch import nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.reparam import RepUnit
from riffle.registry import register

WIDTHS = (64, 128, 256, 512)  # of the stages behind the stem, before scaling
REPEATS = (2, 8, 10, 1)  # blocks at each resolution, the first with stride 2


def block(c_in: int, c_out: int, stride: int, *, copies: int, gate: Gate | None) -> nn.Sequential:
    """Fig. 3: a depthwise 3x3 unit, then a 1x1 unit; in S4's last blocks each has a gate before its activation."""
    return nn.Sequential(
        RepUnit(c_in, c_in, stride=stride, groups=c_in, copies=copies, gate=gate),
        RepUnit(c_in, c_out, 1, copies=copies, gate=gate),
    )


class MobileOne(ImageClassifier):
    """The paper's six stages: the first is the stem, and the fourth and fifth, of one resolution, are one here.

    ``copies`` is the paper's k, the convolutions side by side in every block; the stem has one. ``gated`` counts the
    last blocks of each stage that have a gate.
    """

    def __init__(
        self,
        scales: tuple[float, float, float, float],
        *,
        copies: int = 1,
        gated: tuple[int, int, int, int] = (0, 0, 0, 0),
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        widths = [int(width * scale) for width, scale in zip(WIDTHS, scales, strict=True)]
        c_in = min(64, widths[0])
        self.stem = RepUnit(in_channels, c_in, stride=2)
        self.stages = nn.Sequential()
        for c_out, repeats, gates in zip(widths, REPEATS, gated, strict=True):
            stage = nn.Sequential()
            for index in range(repeats):
                gate = squeeze_excite() if index >= repeats - gates else None
                stage.append(block(c_in, c_out, 2 if index == 0 else 1, copies=copies, gate=gate))
                c_in = c_out
            self.stages.append(stage)
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = head(c_in, num_classes)


VARIANTS: dict[str, dict[str, Any]] = {
    #                           widths over 64, 128, 256, 512
    "mobileone_s0": dict(scales=(0.75, 1.0, 1.0, 2.0), copies=4),
    "mobileone_s1": dict(scales=(1.5, 1.5, 2.0, 2.5)),
    "mobileone_s2": dict(scales=(1.5, 2.0, 2.5, 4.0)),
    "mobileone_s3": dict(scales=(2.0, 2.5, 3.0, 4.0)),
    "mobileone_s4": dict(scales=(3.0, 3.5, 3.5, 4.0), gated=(0, 0, 5, 1)),
}
register(MobileOne, VARIANTS)
