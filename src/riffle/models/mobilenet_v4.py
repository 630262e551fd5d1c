"""MobileNetV4: Universal Models for the Mobile Ecosystem, https://arxiv.org/abs/2404.10518.

The block lists are those of timm, whose weights people have. They are the paper's Tables 11 to 15, but for the third
stage of the hybrid medium network: there an FFN comes second, and an ExtraDW stands where the paper lists an FFN. The
medium and large networks have about 5 % more parameters than the paper prints; why is not known.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.conv import Activation, ConvNormAct, relu
from riffle.layers.drop_path import DropPath, rising
from riffle.layers.image_classifier import ImageClassifier, head
from riffle.layers.inverted_residual import Unit
from riffle.registry import register

C_NECK, C_HEAD = 960, 1280

Block = Callable[..., nn.Module]
"""Makes a block from the width before it, the width after it, the stride and ``unit=``; those of stride 1 also take
``drop_path=``."""


class LayerScale(nn.Module):
    """Each channel of a branch times a trained weight that begins small, so that a deep network begins shallow."""

    def __init__(self, channels: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        return x * self.gamma.view(-1, 1, 1)


class UniversalInvertedBottleneck(nn.Module):
    """Fig. 4: an inverted bottleneck with up to two depthwise convolutions: before the expansion and after it.

    Both are "ExtraDW", the first alone is "ConvNext-like", the second alone is MobileNetV2's "IB", none is "FFN". A
    kernel of 0 leaves one out. The last one there is has the stride.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        stride: int = 1,
        *,
        kernels: tuple[int, int],
        hidden: int,
        unit: Unit,
        scale: Block | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        before, inside = kernels
        before_stride = 1 if inside else stride
        self.before = unit(c_in, c_in, before, before_stride, groups=c_in, act=None) if before else nn.Identity()
        self.expand = unit(c_in, hidden)
        self.inside = unit(hidden, hidden, inside, stride, groups=hidden) if inside else nn.Identity()
        self.project = unit(hidden, c_out, act=None)
        self.scale = scale(c_out) if scale is not None else nn.Identity()
        self.drop_path = DropPath(drop_path)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        y = self.scale(self.project(self.inside(self.expand(self.before(x)))))
        return x + self.drop_path(y) if self.is_residual else y  # type: ignore[no-any-return]


class MultiQueryAttention(nn.Module):
    """Mobile MQA, section 4: every head asks its own queries of the same keys and values.

    Keys and values may come from a map of half the height and width (``kv_stride=2``), made by a depthwise convolution.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        stride: int = 1,
        *,
        heads: int,
        key_width: int,
        kv_stride: int = 1,
        unit: Unit,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        assert (c_in, stride) == (c_out, 1), "attention changes neither the width nor the resolution"
        self.heads, self.key_width = heads, key_width
        self.norm = nn.BatchNorm2d(c_in)
        self.query = nn.Conv2d(c_in, heads * key_width, 1, bias=False)
        self.key, self.value = (
            nn.Sequential(
                unit(c_in, c_in, 3, kv_stride, groups=c_in, act=None) if kv_stride > 1 else nn.Identity(),
                nn.Conv2d(c_in, key_width, 1, bias=False),
            )
            for _ in range(2)
        )
        self.project = nn.Conv2d(heads * key_width, c_out, 1, bias=False)
        self.scale = LayerScale(c_out)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        batch, _, height, width = x.shape
        per_head = (batch, self.heads, height * width, self.key_width)
        y = self.norm(x)
        # With one set of keys for all heads, the heads' queries are just more queries of a single head.
        queries = self.query(y).view(batch, self.heads, self.key_width, -1).transpose(2, 3).flatten(1, 2).unsqueeze(1)
        keys, values = (branch(y).flatten(2).transpose(1, 2).unsqueeze(1) for branch in (self.key, self.value))
        found = F.scaled_dot_product_attention(queries, keys, values)
        y = self.project(found.view(per_head).transpose(2, 3).reshape(batch, -1, height, width))
        return x + self.drop_path(self.scale(y))  # type: ignore[no-any-return]


def fused(hidden: int) -> Block:
    """Tables 11 to 15's FusedIB: a full 3x3 in the place of the expansion and the depthwise convolution."""

    def block(c_in: int, c_out: int, stride: int, *, unit: Unit) -> nn.Module:
        return nn.Sequential(unit(c_in, hidden, 3, stride), unit(hidden, c_out, act=None))

    return block


def convolutions(hidden: int) -> Block:
    """What the small network's release has where Table 11 says FusedIB: an activation behind the 1x1 as well."""

    def block(c_in: int, c_out: int, stride: int, *, unit: Unit) -> nn.Module:
        return nn.Sequential(unit(c_in, hidden, 3, stride), unit(hidden, c_out))

    return block


def uib(before: int, inside: int, hidden: int) -> Block:
    """A universal inverted bottleneck: both kernels, the expanded width."""
    return partial(UniversalInvertedBottleneck, kernels=(before, inside), hidden=hidden)


def scaled(before: int, inside: int, hidden: int) -> Block:
    """The same with a layer scale, as the hybrid networks have it."""
    return partial(UniversalInvertedBottleneck, kernels=(before, inside), hidden=hidden, scale=LayerScale)


def mqa(heads: int, key_width: int, kv_stride: int = 1) -> Block:
    """Attention: its heads, the width of each, the stride of keys and values."""
    return partial(MultiQueryAttention, heads=heads, key_width=key_width, kv_stride=kv_stride)


Table = Sequence[tuple[int, Sequence[Block]]]
"""For each stage its width and its blocks, the first of them with stride 2."""


class MobileNetV4(ImageClassifier):
    """Tables 11 to 15."""

    def __init__(
        self,
        c_stem: int,
        table: Table,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 224,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        act: Activation = relu,
    ) -> None:
        super().__init__()
        self.size = size
        unit = partial(ConvNormAct, act=act)
        self.stem = unit(in_channels, c_stem, 3, 2)
        self.stages = nn.Sequential()
        rates = iter(rising(drop_path, sum(len(blocks) for _, blocks in table)))
        c_in = c_stem
        for c_out, (down, *others) in table:
            next(rates)  # a block of stride 2 has no shortcut beside which it could be left out
            stage = [down(c_in, c_out, 2, unit=unit)]
            stage += [block(c_out, c_out, 1, unit=unit, drop_path=next(rates)) for block in others]
            self.stages.append(nn.Sequential(*stage))
            c_in = c_out
        self.neck = unit(c_in, C_NECK)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), unit(C_NECK, C_HEAD), nn.Flatten())
        self.classifier = head(C_HEAD, num_classes, dropout=dropout)


# fmt: off
SMALL: Table = (
    (32, [convolutions(32)]),
    (64, [convolutions(96)]),
    (96, [uib(5, 5, 192), uib(0, 3, 192), uib(0, 3, 192), uib(0, 3, 192), uib(0, 3, 192), uib(3, 0, 384)]),
    (128, [uib(3, 3, 576), uib(5, 5, 512), uib(0, 5, 512), uib(0, 5, 384), uib(0, 3, 512), uib(0, 3, 512)]),
)
MEDIUM: Table = (
    (48, [fused(128)]),
    (80, [uib(3, 5, 192), uib(3, 3, 160)]),
    (160, [uib(3, 5, 480), uib(3, 3, 640), uib(3, 3, 640), uib(3, 5, 640), uib(3, 3, 640), uib(3, 0, 640),
           uib(0, 0, 320), uib(3, 0, 640)]),
    (256, [uib(5, 5, 960), uib(5, 5, 1024), uib(3, 5, 1024), uib(3, 5, 1024), uib(0, 0, 1024), uib(3, 0, 1024),
           uib(3, 5, 512), uib(5, 5, 1024), uib(0, 0, 1024), uib(0, 0, 1024), uib(5, 0, 512)]),
)
LARGE: Table = (
    (48, [fused(96)]),
    (96, [uib(3, 5, 192), uib(3, 3, 384)]),
    (192, [uib(3, 5, 384), uib(3, 3, 768), uib(3, 3, 768), uib(3, 3, 768), uib(3, 5, 768), uib(5, 3, 768),
           uib(5, 3, 768), uib(5, 3, 768), uib(5, 3, 768), uib(5, 3, 768), uib(3, 0, 768)]),
    (512, [uib(5, 5, 768), uib(5, 5, 2048), uib(5, 5, 2048), uib(5, 5, 2048), uib(5, 0, 2048), uib(5, 3, 2048),
           uib(5, 0, 2048), uib(5, 0, 2048), uib(5, 3, 2048), uib(5, 5, 2048), uib(5, 0, 2048), uib(5, 0, 2048),
           uib(5, 0, 2048)]),
)
HYBRID_MEDIUM: Table = (
    (48, [fused(128)]),
    (80, [scaled(3, 5, 192), scaled(3, 3, 160)]),
    (160, [scaled(3, 5, 480), scaled(0, 0, 320), scaled(3, 3, 640), scaled(3, 5, 640),
           mqa(4, 64, 2), scaled(3, 3, 640), mqa(4, 64, 2), scaled(3, 0, 640),
           mqa(4, 64, 2), scaled(3, 3, 640), mqa(4, 64, 2), scaled(3, 0, 640)]),
    (256, [scaled(5, 5, 960), scaled(5, 5, 1024), scaled(3, 5, 1024), scaled(3, 5, 1024),
           scaled(0, 0, 512), scaled(3, 5, 512), scaled(0, 0, 512), scaled(0, 0, 1024),
           mqa(4, 64), scaled(3, 0, 1024), mqa(4, 64), scaled(5, 5, 1024),
           mqa(4, 64), scaled(5, 0, 1024), mqa(4, 64), scaled(5, 0, 1024)]),
)
HYBRID_LARGE: Table = (
    (48, [fused(96)]),
    (96, [scaled(3, 5, 192), scaled(3, 3, 384)]),
    (192, [scaled(3, 5, 384), scaled(3, 3, 768), scaled(3, 3, 768), scaled(3, 3, 768),
           scaled(3, 5, 768), scaled(5, 3, 768), scaled(5, 3, 768),
           mqa(8, 48, 2), scaled(5, 3, 768), mqa(8, 48, 2), scaled(5, 3, 768),
           mqa(8, 48, 2), scaled(5, 3, 768), mqa(8, 48, 2), scaled(3, 0, 768)]),
    (512, [scaled(5, 5, 768), scaled(5, 5, 2048), scaled(5, 5, 2048), scaled(5, 5, 2048), scaled(5, 0, 2048),
           scaled(5, 3, 2048), scaled(5, 0, 2048), scaled(5, 0, 2048), scaled(5, 3, 2048), scaled(5, 5, 2048),
           mqa(8, 64), scaled(5, 0, 2048), mqa(8, 64), scaled(5, 0, 2048),
           mqa(8, 64), scaled(5, 0, 2048), mqa(8, 64), scaled(5, 0, 2048)]),
)
# fmt: on

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenet_v4_conv_small": dict(c_stem=32, table=SMALL),
    "mobilenet_v4_conv_medium": dict(c_stem=32, table=MEDIUM, size=256),
    "mobilenet_v4_conv_large": dict(c_stem=24, table=LARGE, size=384),
    "mobilenet_v4_hybrid_medium": dict(c_stem=32, table=HYBRID_MEDIUM, size=256),
    "mobilenet_v4_hybrid_large": dict(c_stem=24, table=HYBRID_LARGE, size=384, act=nn.GELU),
}
register(MobileNetV4, VARIANTS)
