"""Going Deeper with Convolutions, https://arxiv.org/abs/1409.4842.

torchvision's network, whose weights everyone has, is not the paper's: it has batch normalization instead of biases and
response normalization, 3x3 convolutions where Table 1 has 5x5 (a slip that its weights were trained with), a 2x2 pool
before the last stage, and half of the dropout. Both are here. The auxiliary classifiers, which serve training only, are
in neither.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, cat, nn

from riffle.layers.conv import ConvNormAct
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.initial import he_normal
from riffle.layers.inverted_residual import Unit
from riffle.registry import register

Widths = tuple[int, int, int, int, int, int]

STAGES: tuple[tuple[Widths, ...], ...] = (
    # Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    (
        (64, 96, 128, 16, 32, 32),  # 3a
        (128, 128, 192, 32, 96, 64),  # 3b
    ),
    (
        (192, 96, 208, 16, 48, 64),  # 4a
        (160, 112, 224, 24, 64, 64),  # 4b
        (128, 128, 256, 24, 64, 64),  # 4c
        (112, 144, 288, 32, 64, 64),  # 4d
        (256, 160, 320, 32, 128, 128),  # 4e
    ),
    (
        (256, 160, 320, 32, 128, 128),  # 5a
        (384, 192, 384, 48, 128, 128),  # 5b
    ),
)


class Inception(nn.Module):
    """Fig. 2b: four views of the input side by side, the costly ones behind 1x1 reductions; ``large`` is 5 in print."""

    def __init__(self, c_in: int, widths: Widths, *, unit: Unit, large: int) -> None:
        super().__init__()
        c_1x1, reduce_3x3, c_3x3, reduce_5x5, c_5x5, c_pool = widths
        self.conv_1x1 = unit(c_in, c_1x1)
        self.conv_3x3 = nn.Sequential(unit(c_in, reduce_3x3), unit(reduce_3x3, c_3x3, 3))
        self.conv_5x5 = nn.Sequential(unit(c_in, reduce_5x5), unit(reduce_5x5, c_5x5, large))
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(c_in, c_pool))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_1x1 + c_3x3 + c_5x5 + c_pool, height, width)."""
        return cat((self.conv_1x1(x), self.conv_3x3(x), self.conv_5x5(x), self.pool(x)), dim=1)


class GoogLeNet(ImageClassifier):
    """Table 1 and Fig. 3, with the arguments for what torchvision does in another way."""

    def __init__(
        self,
        unit: Unit,
        response_norm: Callable[[], nn.Module],
        *,
        large: int,
        last_pool: int,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        pool = partial(nn.MaxPool2d, stride=2, ceil_mode=True)
        self.stem = nn.Sequential(
            unit(in_channels, 64, 7, stride=2),
            pool(3),
            response_norm(),
            unit(64, 64),
            unit(64, 192, 3),
            response_norm(),
        )
        self.stages = nn.Sequential()
        c_in = 192
        for rows, kernel in zip(STAGES, (3, 3, last_pool), strict=True):
            stage = nn.Sequential(pool(kernel))
            for widths in rows:
                stage.append(Inception(c_in, widths, unit=unit, large=large))
                c_1x1, _, c_3x3, _, c_5x5, c_pool = widths
                c_in = c_1x1 + c_3x3 + c_5x5 + c_pool
            self.stages.append(stage)
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = head(c_in, num_classes, dropout=dropout)
        he_normal(self)


with_norm = partial(ConvNormAct, norm=partial(nn.BatchNorm2d, eps=1e-3))
with_bias = partial(ConvNormAct, norm=None)
# Fig. 3 draws the response normalization and gives it no numbers: these are those of Caffe's GoogLeNet.
caffes = partial(nn.LocalResponseNorm, 5, alpha=1e-4, beta=0.75, k=1.0)

VARIANTS = {
    "googlenet": dict(unit=with_norm, response_norm=nn.Identity, large=3, last_pool=2, dropout=0.2),
    # Table 1's own parameters and operations are rounded and partly wrong: its first row has 2.7K for 9.5K.
    "googlenet_paper": dict(unit=with_bias, response_norm=caffes, large=5, last_pool=3, dropout=0.4),
}
register(GoogLeNet, VARIANTS)
