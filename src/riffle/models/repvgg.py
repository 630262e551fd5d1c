"""RepVGG: Making VGG-style ConvNets Great Again, https://arxiv.org/abs/2101.03697.

The networks here have the branches that they are trained with. ``riffle.fuse`` makes them the plain stack of 3x3
convolutions that the paper counts and times. The paper truncates where others round: 8.309M parameters are its 8.30M.
"""

from itertools import count
from typing import Any

from torch import nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.reparam import RepUnit
from riffle.registry import register

WIDTHS = (64, 128, 256, 512)  # Table 2: stages 2 to 5, before scaling by a, and the last one by b


class RepVGG(ImageClassifier):
    """Table 2: five stages that each begin with stride 2, the first one (here the stem) of a single layer.

    Of the layers in the network, counted from 1, the odd ones behind the stem have ``groups`` (section 3.4).
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        a: float,
        b: float,
        *,
        groups: int = 1,
        gate: Gate | None = None,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 224,
    ) -> None:
        super().__init__()
        self.size = size
        widths = [int(width * scale) for width, scale in zip(WIDTHS, (a, a, a, b), strict=True)]
        c_in = min(64, widths[0])
        self.stem = RepUnit(in_channels, c_in, stride=2, gate=gate)
        self.stages = nn.Sequential()
        layers = count(2)
        for c_out, depth in zip(widths, depths, strict=True):
            stage = nn.Sequential()
            for stride in (2, *[1] * (depth - 1)):
                grouped = next(layers) % 2 == 1
                stage.append(RepUnit(c_in, c_out, stride=stride, groups=groups if grouped else 1, gate=gate))
                c_in = c_out
            self.stages.append(stage)
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = head(c_in, num_classes)


VARIANTS: dict[str, dict[str, Any]] = {
    # Table 3           layers in stages 2 to 5
    "repvgg_a0": dict(depths=(2, 4, 14, 1), a=0.75, b=2.5),
    "repvgg_a1": dict(depths=(2, 4, 14, 1), a=1.0, b=2.5),
    "repvgg_a2": dict(depths=(2, 4, 14, 1), a=1.5, b=2.75),
    "repvgg_b0": dict(depths=(4, 6, 16, 1), a=1.0, b=2.5),
    "repvgg_b1": dict(depths=(4, 6, 16, 1), a=2.0, b=4.0),
    "repvgg_b1g2": dict(depths=(4, 6, 16, 1), a=2.0, b=4.0, groups=2),
    "repvgg_b1g4": dict(depths=(4, 6, 16, 1), a=2.0, b=4.0, groups=4),
    "repvgg_b2": dict(depths=(4, 6, 16, 1), a=2.5, b=5.0),
    "repvgg_b2g2": dict(depths=(4, 6, 16, 1), a=2.5, b=5.0, groups=2),  # released, not in the paper
    "repvgg_b2g4": dict(depths=(4, 6, 16, 1), a=2.5, b=5.0, groups=4),
    "repvgg_b3": dict(depths=(4, 6, 16, 1), a=3.0, b=5.0),
    "repvgg_b3g2": dict(depths=(4, 6, 16, 1), a=3.0, b=5.0, groups=2),  # released, not in the paper
    "repvgg_b3g4": dict(depths=(4, 6, 16, 1), a=3.0, b=5.0, groups=4),
    # Released later, not in the paper: a gate before every activation.
    "repvgg_d2se": dict(depths=(8, 14, 24, 1), a=2.5, b=5.0, gate=squeeze_excite(), size=320),
}
register(RepVGG, VARIANTS)
