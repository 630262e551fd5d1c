"""EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, https://arxiv.org/abs/1905.11946."""

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil
from typing import Any, NamedTuple

from torch import nn

from riffle.layers.attention import SqueezeExcite
from riffle.layers.conv import ConvNormAct, SameConv2d
from riffle.layers.drop_path import rising
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.inverted_residual import InvertedResidual, Unit
from riffle.layers.rounding import make_divisible
from riffle.registry import register

silu = partial(nn.SiLU, inplace=True)
tensorflow_norm = partial(nn.BatchNorm2d, eps=1e-3)
convolution: Unit = partial(ConvNormAct, act=silu)
convolution_eps_1e3: Unit = partial(ConvNormAct, act=silu, norm=tensorflow_norm)
convolution_tf: Unit = partial(ConvNormAct, act=silu, norm=tensorflow_norm, conv=SameConv2d)


class MBConv(InvertedResidual):
    """The operator of Table 1: an inverted residual with a gate.

    The gate's narrow layer has a quarter of the width of the block's input, not of the expanded one that it weighs.
    """

    def __init__(
        self, c_in: int, c_out: int, hidden: int, kernel: int, stride: int, *, unit: Unit, drop_path: float = 0.0
    ) -> None:
        gate = partial(SqueezeExcite, squeezed=c_in // 4, act=silu)
        super().__init__(c_in, c_out, hidden, kernel, stride, unit=unit, gate=gate, drop_path=drop_path)


class Row(NamedTuple):
    """A row of Table 1, or of EfficientNetV2's Table 4: blocks of one kind, the first with the stride."""

    block: Callable[..., nn.Module]
    expansion: int
    kernel: int
    stride: int
    channels: int
    layers: int


def blocks(table: Sequence[Row], c_in: int, *, unit: Unit, drop_path: float) -> nn.Sequential:
    """The blocks of a table that follows a stem of ``c_in`` channels; each row is a stage."""
    drop_paths = iter(rising(drop_path, sum(row.layers for row in table)))
    stages = nn.Sequential()
    for block, expansion, kernel, stride, channels, layers in table:
        stage = nn.Sequential()
        for index in range(layers):
            own_stride = stride if index == 0 else 1
            hidden = expansion * c_in
            stage.append(block(c_in, channels, hidden, kernel, own_stride, unit=unit, drop_path=next(drop_paths)))
            c_in = channels
        stages.append(stage)
    return stages


# Table 1. Its stem has 32 channels, and its last 1x1 convolution 1280.
B0 = (
    #   operator, expansion, kernel, stride, channels, layers
    Row(MBConv, 1, 3, 1, 16, 1),
    Row(MBConv, 6, 3, 2, 24, 2),
    Row(MBConv, 6, 5, 2, 40, 2),
    Row(MBConv, 6, 3, 2, 80, 3),
    Row(MBConv, 6, 5, 1, 112, 3),
    Row(MBConv, 6, 5, 2, 192, 4),
    Row(MBConv, 6, 3, 1, 320, 1),
)


class EfficientNet(ImageClassifier):
    """Table 1, ``width`` times as wide and ``depth`` times as deep: layers rounded up, channels to multiples of 8."""

    def __init__(
        self,
        width: float,
        depth: float,
        *,
        size: int = 224,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        unit: Unit = convolution,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.size = size
        c_stem, c_neck = make_divisible(32 * width), make_divisible(1280 * width)
        table = [
            row._replace(channels=make_divisible(row.channels * width), layers=ceil(row.layers * depth)) for row in B0
        ]
        self.stem = unit(in_channels, c_stem, 3, 2)
        self.stages = blocks(table, c_stem, unit=unit, drop_path=drop_path)
        self.neck = unit(table[-1].channels, c_neck)
        self.pool = global_pool()
        self.classifier = head(c_neck, num_classes, dropout=dropout)


# The paper gives a rule (alpha 1.2, beta 1.1, gamma 1.15); the coefficients are those of the authors' release, which
# follow it loosely. Table 2 prints 9.2M parameters for B2, whose layers come to 9.11M. Padding and eps are those of
# torchvision: its weights of B5 to B7 come from another port, and so does their eps.
VARIANTS: dict[str, dict[str, Any]] = {
    #                       width, depth, side of the picture, dropout
    "efficientnet_b0": dict(width=1.0, depth=1.0, size=224, dropout=0.2),
    "efficientnet_b1": dict(width=1.0, depth=1.1, size=240, dropout=0.2),
    "efficientnet_b2": dict(width=1.1, depth=1.2, size=260, dropout=0.3),
    "efficientnet_b3": dict(width=1.2, depth=1.4, size=300, dropout=0.3),
    "efficientnet_b4": dict(width=1.4, depth=1.8, size=380, dropout=0.4),
    "efficientnet_b5": dict(width=1.6, depth=2.2, size=456, dropout=0.4, unit=convolution_eps_1e3),
    "efficientnet_b6": dict(width=1.8, depth=2.6, size=528, dropout=0.5, unit=convolution_eps_1e3),
    "efficientnet_b7": dict(width=2.0, depth=3.1, size=600, dropout=0.5, unit=convolution_eps_1e3),
}
# The authors' own weights were trained with TensorFlow's padding and eps, and need them.
TENSORFLOW = {f"{name}_tf": {**row, "unit": convolution_tf} for name, row in VARIANTS.items()}
register(EfficientNet, {**VARIANTS, **TENSORFLOW})
