"""MobileNetV2: Inverted Residuals and Linear Bottlenecks, https://arxiv.org/abs/1801.04381.

The text counts 19 residual bottlenecks, Table 2 has 17: everyone builds the table. ``_tf`` is the network of the
authors' weights (TensorFlow's slim): TensorFlow's padding, and norms with an epsilon of 1e-3.
"""

from functools import partial
from itertools import product
from typing import Any

from torch import nn

from riffle.layers.conv import ConvNormAct, SameConv2d, relu6
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.inverted_residual import InvertedResidual, Unit
from riffle.registry import register

# Table 2, one row each; a stage begins where the stride is 2.
EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)  # t
REPEATS = (1, 2, 3, 4, 3, 3, 1)  # n
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # s

UNIT = partial(ConvNormAct, act=relu6)
SLIM = partial(ConvNormAct, act=relu6, norm=partial(nn.BatchNorm2d, eps=1e-3), conv=SameConv2d)


class MobileNetV2(ImageClassifier):
    """Table 2, with the width multiplier applied."""

    def __init__(
        self,
        widths: tuple[int, int, int, int, int, int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 224,
        dropout: float = 0.2,
        repeats: tuple[int, int, int, int, int, int, int] = REPEATS,
        unit: Unit = UNIT,
    ) -> None:
        super().__init__()
        self.size = size
        c_in, *c_rows, c_neck = widths
        self.stem = unit(in_channels, c_in, 3, 2)
        stages: list[list[nn.Module]] = [[]]
        for c_out, expansion, count, row_stride in zip(c_rows, EXPANSIONS, repeats, STRIDES, strict=True):
            if row_stride == 2:
                stages.append([])
            for stride in (row_stride, *(1 for _ in range(count - 1))):
                stages[-1].append(InvertedResidual(c_in, c_out, expansion * c_in, 3, stride, unit=unit))
                c_in = c_out
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.neck = unit(c_in, c_neck)
        self.pool = global_pool()
        self.classifier = head(c_neck, num_classes, dropout=dropout)


# Multiples of 8, as released; below 1.0 the neck keeps its 1280 (section 4).
WIDTHS = {
    #        stem, the seven rows of Table 2, neck
    "x1_4": (48, 24, 32, 48, 88, 136, 224, 448, 1792),  # the paper prints 6.9M parameters; it is 6.1M
    "x1_3": (40, 24, 32, 40, 80, 128, 208, 416, 1664),
    "x1_0": (32, 16, 24, 32, 64, 96, 160, 320, 1280),
    "x0_75": (24, 16, 24, 24, 48, 72, 120, 240, 1280),
    "x0_5": (16, 8, 16, 16, 32, 48, 80, 160, 1280),
    "x0_35": (16, 8, 8, 16, 24, 32, 56, 112, 1280),
}
SIZES = {"": 224, "_192": 192, "_160": 160, "_128": 128, "_96": 96}

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenet_v2": dict(widths=WIDTHS["x1_0"]),
    "mobilenet_v2_x1_4": dict(widths=WIDTHS["x1_4"]),
    "mobilenet_v2_x1_3": dict(widths=WIDTHS["x1_3"]),
} | {
    f"mobilenet_v2_{width}{suffix}": dict(widths=WIDTHS[width], size=size)
    for width, (suffix, size) in product(["x1_0", "x0_75", "x0_5", "x0_35"], SIZES.items())
    if (width, size) != ("x1_0", 224)
}
TWINS = {f"{name}_tf": {**row, "unit": SLIM} for name, row in VARIANTS.items()}
# timm's, deeper than they are wide: repeats times 1.2 and 1.4, widths times 1.1 and 1.2 but for the stem and the neck.
DEEPER: dict[str, dict[str, Any]] = {
    "mobilenet_v2_110d": dict(widths=(32, 16, 24, 32, 72, 104, 176, 352, 1280), repeats=(1, 3, 4, 5, 4, 4, 1)),
    "mobilenet_v2_120d": dict(widths=(32, 24, 32, 40, 80, 112, 192, 384, 1280), repeats=(1, 3, 5, 6, 5, 5, 1)),
}
register(MobileNetV2, {**VARIANTS, **TWINS, **DEEPER})
