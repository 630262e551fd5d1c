"""ImageNet Classification with Deep Convolutional Neural Networks (NIPS 2012), and the single column that followed it.

https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks. The paper speaks of
224 pixels, but its first convolution leaves 55x55 only from 227. The narrower single column, which torchvision calls
AlexNet, is that of One weird trick for parallelizing convolutional neural networks, https://arxiv.org/abs/1404.5997.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from riffle.layers.conv import ConvNormAct, relu
from riffle.layers.image_classifier import ImageClassifier, deep_head
from riffle.layers.initial import he_normal
from riffle.registry import register

conv = partial(ConvNormAct, norm=None)


class AlexNet(ImageClassifier):
    """Fig. 2. With two ``groups`` a GPU's half sees only itself, but in the third convolution and the linear layers.

    Its pools overlap and round up. ``response_norm`` stands behind the first two convolutions (sections 3.3 to 3.5).
    """

    def __init__(
        self,
        groups: int,
        response_norm: Callable[[], nn.Module],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        size: int = 227,
    ) -> None:
        super().__init__()
        self.size = size
        pool = partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True)
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 96, 11, stride=4), relu(), response_norm())
        self.stages = nn.Sequential(
            nn.Sequential(pool(), conv(96, 256, 5, groups=groups), response_norm()),
            nn.Sequential(
                pool(),
                conv(256, 384, 3),
                conv(384, 384, 3, groups=groups),
                conv(384, 256, 3, groups=groups),
            ),
        )
        self.neck = pool()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten())
        self.classifier = deep_head(256 * 6 * 6, 4096, num_classes, dropout=dropout)
        he_normal(self)


class SingleColumnAlexNet(ImageClassifier):
    """One weird trick's column in torchvision's layout: no response normalization, dropout before the linear layers."""

    def __init__(self, *, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        pool = partial(nn.MaxPool2d, 3, stride=2)
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), relu())
        self.stages = nn.Sequential(
            nn.Sequential(pool(), conv(64, 192, 5)),
            nn.Sequential(pool(), conv(192, 384, 3), conv(384, 256, 3), conv(256, 256, 3)),
        )
        self.neck = pool()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            relu(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            relu(),
            nn.Linear(4096, num_classes),
        )
        he_normal(self)


# Section 3.3 prints k + alpha * (the sum of n squares). The authors' cuda-convnet, and everyone since, divides alpha by
# n; so does PyTorch's layer, where the printed formula therefore needs n times the alpha.
as_printed = partial(nn.LocalResponseNorm, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)
as_released = partial(nn.LocalResponseNorm, 5, alpha=1e-4, beta=0.75, k=2.0)

VARIANTS = {
    "alexnet_two_gpus": dict(groups=2, response_norm=as_printed),
    # Not in the paper: its widths on one GPU, as in pytorchcv, whose weights were trained under the released formula.
    "alexnet_one_gpu": dict(groups=1, response_norm=as_released),
}
register(SingleColumnAlexNet, {"alexnet": {}})
register(AlexNet, VARIANTS)
