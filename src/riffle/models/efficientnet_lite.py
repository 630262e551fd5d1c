"""EfficientNet-Lite, https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.

A release without a paper: EfficientNet for processors that compute in 8 bits. There are no gates, which such processors
run poorly, and ReLU6 takes the place of SiLU, since its bounded range quantizes well. Stem and last convolution keep
their width, and the first and the last row of the table their single layer, so that the scaled networks stay small.
"""

from functools import partial
from math import ceil
from typing import Any

from riffle.layers.conv import ConvNormAct, SameConv2d, relu6
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.inverted_residual import InvertedResidual, Unit
from riffle.layers.rounding import make_divisible
from riffle.models.efficientnet import B0, blocks, tensorflow_norm
from riffle.registry import register

C_STEM, C_NECK = 32, 1280

convolution: Unit = partial(ConvNormAct, act=relu6)
convolution_tf: Unit = partial(ConvNormAct, act=relu6, norm=tensorflow_norm, conv=SameConv2d)


class EfficientNetLite(ImageClassifier):
    """EfficientNet's Table 1 without gates: rows ``width`` times as wide, the inner ones ``depth`` times as deep."""

    def __init__(
        self,
        width: float,
        depth: float,
        *,
        size: int = 224,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        unit: Unit = convolution_tf,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.size = size
        table = [
            row._replace(
                block=InvertedResidual,
                channels=make_divisible(row.channels * width),
                layers=row.layers if row in (B0[0], B0[-1]) else ceil(row.layers * depth),
            )
            for row in B0
        ]
        self.stem = unit(in_channels, C_STEM, 3, 2)
        self.stages = blocks(table, C_STEM, unit=unit, drop_path=drop_path)
        self.neck = unit(table[-1].channels, C_NECK)
        self.pool = global_pool()
        self.classifier = head(C_NECK, num_classes, dropout=dropout)


# The release is TensorFlow's, and the plain names have its padding and eps. timm trained a Lite0 with PyTorch's.
VARIANTS: dict[str, dict[str, Any]] = {
    #                          width, depth, side of the picture, dropout
    "efficientnet_lite0": dict(width=1.0, depth=1.0, size=224, dropout=0.2),
    "efficientnet_lite1": dict(width=1.0, depth=1.1, size=240, dropout=0.2),
    "efficientnet_lite2": dict(width=1.1, depth=1.2, size=260, dropout=0.3),
    "efficientnet_lite3": dict(width=1.2, depth=1.4, size=280, dropout=0.3),
    "efficientnet_lite4": dict(width=1.4, depth=1.8, size=300, dropout=0.3),
    "efficientnet_lite0_symmetric": dict(width=1.0, depth=1.0, size=224, dropout=0.2, unit=convolution),
}
register(EfficientNetLite, VARIANTS)
