"""Searching for MobileNetV3, https://arxiv.org/abs/1905.02244.

Followed is the latest version on arXiv, whose small network has 1024 features before its classifier; version 2 has 1280
there (2.9M parameters and 66M, where the latest has 2.5M and 56M). Table 2 marks squeeze-and-excitation on the last
convolution too: no released code has it. ``_tf`` is the network of the authors' weights, with TensorFlow's padding.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from riffle.layers.attention import Gate, SqueezeExcite
from riffle.layers.conv import Activation, ConvNormAct, SameConv2d, relu
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.layers.inverted_residual import InvertedResidual, Unit
from riffle.layers.rounding import make_divisible
from riffle.registry import register


def hard_squeeze_excite(channels: int) -> nn.Module:
    """Section 5.3's gate: narrow to a quarter of the expanded channels, and a hard sigmoid."""
    return SqueezeExcite(channels, make_divisible(channels / 4), scale=nn.Hardsigmoid)


SE, RE, HS = hard_squeeze_excite, relu, partial(nn.Hardswish, inplace=True)  # as Tables 1 and 2 call them


class Line(NamedTuple):
    """One ``bneck`` of Table 1 or 2."""

    kernel: int
    expanded: int
    c_out: int
    gate: Gate | None
    act: Activation
    stride: int


LARGE = (
    Line(3, 16, 16, None, RE, 1),
    Line(3, 64, 24, None, RE, 2),
    Line(3, 72, 24, None, RE, 1),
    Line(5, 72, 40, SE, RE, 2),
    Line(5, 120, 40, SE, RE, 1),
    Line(5, 120, 40, SE, RE, 1),
    Line(3, 240, 80, None, HS, 2),
    Line(3, 200, 80, None, HS, 1),
    Line(3, 184, 80, None, HS, 1),
    Line(3, 184, 80, None, HS, 1),
    Line(3, 480, 112, SE, HS, 1),
    Line(3, 672, 112, SE, HS, 1),
    Line(5, 672, 160, SE, HS, 2),
    Line(5, 960, 160, SE, HS, 1),
    Line(5, 960, 160, SE, HS, 1),
)
SMALL = (
    Line(3, 16, 16, SE, RE, 2),
    Line(3, 72, 24, None, RE, 2),
    Line(3, 88, 24, None, RE, 1),
    Line(5, 96, 40, SE, HS, 2),
    Line(5, 240, 40, SE, HS, 1),
    Line(5, 240, 40, SE, HS, 1),
    Line(5, 120, 48, SE, HS, 1),
    Line(5, 144, 48, SE, HS, 1),
    Line(5, 288, 96, SE, HS, 2),
    Line(5, 576, 96, SE, HS, 1),
    Line(5, 576, 96, SE, HS, 1),
)


def with_widths(table: Sequence[Line], *, expanded: Sequence[int], c_out: Sequence[int]) -> tuple[Line, ...]:
    """The same lines with other expanded and output widths."""
    widths = zip(table, expanded, c_out, strict=True)
    return tuple(line._replace(expanded=hidden, c_out=width) for line, hidden, width in widths)


def minimalistic(table: Sequence[Line]) -> tuple[Line, ...]:
    """Only what every accelerator is good at: 3x3 kernels, ReLU, no gates. In the release, not in the paper."""
    return tuple(line._replace(kernel=3, gate=None, act=RE) for line in table)


NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)  # a decay of 0.99 (section 6.1.1); the epsilon is the release's
UNIT = partial(ConvNormAct, norm=NORM)
SLIM = partial(ConvNormAct, norm=NORM, conv=SameConv2d)


class MobileNetV3(ImageClassifier):
    """Tables 1 and 2, with Fig. 5's cheap last stage: the widest layer works on one averaged pixel."""

    def __init__(
        self,
        table: Sequence[Line],
        widths: tuple[int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.2,
        act: Activation = HS,
        unit: Unit = UNIT,
    ) -> None:
        super().__init__()
        c_in, c_neck, c_head = widths
        self.stem = unit(in_channels, c_in, 3, 2, act=act)
        stages: list[list[nn.Module]] = []
        for kernel, expanded, c_out, gate, line_act, stride in table:
            if stride == 2 or not stages:
                stages.append([])
            line_unit = partial(unit, act=line_act)
            stages[-1].append(InvertedResidual(c_in, c_out, expanded, kernel, stride, unit=line_unit, gate=gate))
            c_in = c_out
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.neck = unit(c_in, c_neck, act=act)
        self.pool = global_pool()
        self.classifier = nn.Sequential(
            nn.Linear(c_neck, c_head),
            act(),
            nn.Dropout(dropout),
            nn.Linear(c_head, num_classes),
        )


# Table 9's multipliers, as released: outputs are multiples of 8, and a line's expansion keeps its ratio to the rounded
# output before it. The stem is not narrowed below 0.75.
LARGE_X0_75 = with_widths(
    LARGE,
    expanded=(16, 64, 72, 72, 96, 96, 192, 160, 144, 144, 384, 528, 528, 720, 720),
    c_out=(16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 88, 88, 120, 120, 120),
)
SMALL_X0_75 = with_widths(
    SMALL,
    expanded=(16, 72, 88, 96, 192, 192, 96, 120, 240, 432, 432),
    c_out=(16, 24, 24, 32, 32, 32, 40, 40, 72, 72, 72),
)
SMALL_X0_5 = with_widths(
    SMALL,
    expanded=(16, 40, 56, 64, 144, 144, 72, 72, 144, 288, 288),
    c_out=(8, 16, 16, 24, 24, 24, 24, 24, 48, 48, 48),
)

VARIANTS: dict[str, dict[str, Any]] = {
    #                                                      stem, neck, head
    "mobilenet_v3_large": dict(table=LARGE, widths=(16, 960, 1280)),
    "mobilenet_v3_large_x0_75": dict(table=LARGE_X0_75, widths=(16, 720, 1280)),
    "mobilenet_v3_small": dict(table=SMALL, widths=(16, 576, 1024)),
    "mobilenet_v3_small_x0_75": dict(table=SMALL_X0_75, widths=(16, 432, 1024)),
    "mobilenet_v3_small_x0_5": dict(table=SMALL_X0_5, widths=(16, 288, 1024)),
    "mobilenet_v3_large_minimalistic": dict(table=minimalistic(LARGE), widths=(16, 960, 1280), act=RE),
    "mobilenet_v3_small_minimalistic": dict(table=minimalistic(SMALL), widths=(16, 576, 1024), act=RE),
}
TWINS = {f"{name}_tf": {**row, "unit": SLIM} for name, row in VARIANTS.items()}
register(MobileNetV3, {**VARIANTS, **TWINS})
