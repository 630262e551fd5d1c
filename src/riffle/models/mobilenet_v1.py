"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, https://arxiv.org/abs/1704.04861.

The paper has ReLU. Its authors' weights (TensorFlow's slim) are of a network with ReLU6, TensorFlow's padding and
norms with an epsilon of 1e-3: the names that end in ``_tf``. timm has trained a third one, with ReLU6 and the usual
padding.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

from torch import nn

from riffle.layers.attention import CBAM, Gate, squeeze_excite
from riffle.layers.conv import ConvNormAct, SameConv2d, relu6
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.layers.inverted_residual import Unit
from riffle.registry import register

REPEATS = (1, 2, 2, 6, 2)  # Table 1: blocks in stages 1 to 5; but for stage 1 the first of each has stride 2

Block = Callable[..., nn.Module]
"""Makes a block from the width before it, the width after it, the stride and ``unit=``."""


class DepthwiseSeparable(nn.Sequential):
    """Fig. 3, right: depthwise 3x3, then 1x1, each with normalization and activation; then a gate where there is one.

    (batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride)).
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1, *, unit: Unit, gate: Gate | None = None) -> None:
        super().__init__()
        self.depthwise = unit(c_in, c_in, 3, stride, groups=c_in)
        self.pointwise = unit(c_in, c_out)
        self.gate = gate(c_out) if gate is not None else nn.Identity()


def full_convolution(c_in: int, c_out: int, stride: int = 1, *, unit: Unit) -> nn.Module:
    """Fig. 3, left: what a depthwise separable convolution takes the place of."""
    return unit(c_in, c_out, 3, stride)


class GatedUnit(nn.Sequential):
    """A convolution unit and a gate behind it."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, gate: Gate) -> None:
        super().__init__()
        self.unit = ConvNormAct(c_in, c_out, kernel, stride, groups=groups)
        self.gate = gate(c_out)


class MobileNetV1(ImageClassifier):
    """Table 1, with the width multiplier applied.

    Its last depthwise layer says "s2" there with an input of 7x7 and an output of 7x7: the stride is 1.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 224,
        repeats: tuple[int, int, int, int, int] = REPEATS,
        block: Block = DepthwiseSeparable,
        unit: Unit = ConvNormAct,
    ) -> None:
        super().__init__()
        self.size = size
        c_in, *c_stages = widths
        self.stem = unit(in_channels, c_in, 3, 2)
        self.stages = nn.Sequential()
        for index, (c_out, count) in enumerate(zip(c_stages, repeats, strict=True)):
            first = block(c_in, c_out, 1 if index == 0 else 2, unit=unit)
            self.stages.append(nn.Sequential(first, *(block(c_out, c_out, unit=unit) for _ in range(count - 1))))
            c_in = c_out
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = nn.Linear(c_in, num_classes)


WIDTHS = {
    # Table 6: stem, stage 1, 2, 3, 4, 5
    "x1_0": (32, 64, 128, 256, 512, 1024),
    "x0_75": (24, 48, 96, 192, 384, 768),
    "x0_5": (16, 32, 64, 128, 256, 512),
    "x0_25": (8, 16, 32, 64, 128, 256),
}
SIZES = {"": 224, "_192": 192, "_160": 160, "_128": 128}  # Table 7; each has weights of its own
# CBAM's 0.7 is each width times 0.7, rounded down: so come out that paper's 2.30M and 0.283G without a gate.
WIDTHS_0_7 = (22, 44, 89, 179, 358, 716)

VARIANTS: dict[str, dict[str, Any]] = {
    f"mobilenet_v1_{width}{suffix}": dict(widths=WIDTHS[width], size=size)
    for width, (suffix, size) in product(WIDTHS, SIZES.items())
}
SLIM = partial(ConvNormAct, act=relu6, norm=partial(nn.BatchNorm2d, eps=1e-3), conv=SameConv2d)
TWINS = {f"{name}_tf": {**row, "unit": SLIM} for name, row in VARIANTS.items()}
OTHERS: dict[str, dict[str, Any]] = {
    # As timm has it (mobilenetv1_100).
    "mobilenet_v1_x1_0_relu6": dict(widths=WIDTHS["x1_0"], unit=partial(ConvNormAct, act=relu6)),
    # Table 4: 3x3 convolutions in the place of the depthwise separable ones.
    "mobilenet_v1_full_convolutions": dict(widths=WIDTHS["x1_0"], block=full_convolution),
    # Table 5: without the five blocks of 512 channels at 14x14.
    "mobilenet_v1_shallow": dict(widths=WIDTHS["x1_0"], repeats=(1, 2, 2, 1, 2)),
    # SENet, https://arxiv.org/abs/1709.01507, Table 3. It does not say where the gates are: one behind each block gives
    # its 4.7M; one behind each convolution, as in CBAM's comparison, 5.07M. Its 572M count the products of the maps
    # with their weights as well, 2.7M of them.
    "se_mobilenet_v1": dict(widths=WIDTHS["x1_0"], block=partial(DepthwiseSeparable, gate=squeeze_excite(16))),
    # CBAM, https://arxiv.org/abs/1807.06521, Table 5. It does not say where either: the released form behind every
    # convolution gives all four of its numbers. The paper's form has 5.06M, and without the stem's gate it is 0.575G.
    "cbam_mobilenet_v1": dict(widths=WIDTHS["x1_0"], unit=partial(GatedUnit, gate=partial(CBAM, released=True))),
    "cbam_mobilenet_v1_x0_7": dict(widths=WIDTHS_0_7, unit=partial(GatedUnit, gate=partial(CBAM, released=True))),
}
register(MobileNetV1, {**VARIANTS, **TWINS, **OTHERS})
