"""Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507.

The authors released Caffe networks: SE-ResNet-50, 101 and 152 halve the resolution in the first 1x1 convolution,
SE-ResNeXt and SENet-154 in the 3x3 one, and the pooling of the stem is Caffe's, which is not padded but may hang over
the lower and right edges. Later trainings put the same gates into torchvision's ResNets, with the stride in the 3x3 and
a padded pooling: the ``_v1_5`` rows. The windows of the two poolings lie one pixel apart, so that weights trained with
one are wrong under the other.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.conv import ConvNormAct
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.models.resnet import (
    BasicBlock,
    Bottleneck,
    EarlyBottleneck,
    ResNet,
    padded_pool,
    projection,
    residual_stages,
)
from riffle.registry import register

SE = squeeze_excite(16)  # Fig. 3; r = 16 in Table 1


def overhanging_pool() -> nn.MaxPool2d:
    """Caffe's maximum of 3x3 at stride 2: no padding, and the last windows may be cut off by the edge."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def rectified(gate: Gate) -> Gate:
    """The same gates behind a ReLU of their own."""
    return lambda channels: nn.Sequential(nn.ReLU(inplace=True), gate(channels))


class SEResNet(ResNet):
    """Fig. 3 and Table 1 around torchvision's ResNet: a gate at the end of each branch, before the addition."""


class AuthorsSEResNet(SEResNet):
    """Table 1 as the authors released it."""

    stem_pool = staticmethod(overhanging_pool)


class SENetBottleneck(Bottleneck):
    """The appendix: the first 1x1 is half as wide as the 3x3; shortcuts that halve the resolution are 3x3 too."""

    @staticmethod
    def convolutions(c_in: int, hidden: int, c_out: int, stride: int, groups: int) -> nn.Sequential:
        """The branch."""
        return nn.Sequential(
            ConvNormAct(c_in, hidden // 2),
            ConvNormAct(hidden // 2, hidden, 3, stride, groups=groups),
            ConvNormAct(hidden, c_out, act=None),
        )

    @staticmethod
    def shortcut_of(c_in: int, c_out: int, stride: int) -> nn.Module:
        """What the branch is added to."""
        return projection(c_in, c_out, stride, 3 if stride > 1 else 1)


class SENet154(ImageClassifier):
    """The appendix: SE blocks in a ResNeXt-152 of 64x4d with three 3x3 convolutions in the stem."""

    def __init__(
        self,
        stem_pool: Callable[[], nn.Module],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.2,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, 64, 3, stride=2),
            ConvNormAct(64, 64, 3),
            ConvNormAct(64, 128, 3),
            stem_pool(),
        )
        block = partial(SENetBottleneck, groups=64, group_width=4, gate=SE)
        self.stages = residual_stages(block, (3, 8, 36, 3), 128, drop_path=drop_path)
        self.neck = nn.Identity()
        self.pool = global_pool()
        self.classifier = head(2048, num_classes, dropout=dropout)


AUTHORS = {
    #                                                     blocks in conv2_x to conv5_x
    "se_resnet50": dict(block=EarlyBottleneck, repeats=(3, 4, 6, 3), gate=SE),
    "se_resnet101": dict(block=EarlyBottleneck, repeats=(3, 4, 23, 3), gate=SE),
    "se_resnet152": dict(block=EarlyBottleneck, repeats=(3, 8, 36, 3), gate=SE),
    "se_resnext50_32x4d": dict(block=Bottleneck, repeats=(3, 4, 6, 3), groups=32, group_width=4, gate=SE),
    "se_resnext101_32x4d": dict(block=Bottleneck, repeats=(3, 4, 23, 3), groups=32, group_width=4, gate=SE),
    # Neither the paper nor the authors have 18 and 34 layers. Weights in circulation were trained in a port of the
    # authors' networks that also has a ReLU before each gate; without the ReLU they are wrong.
    "se_resnet18_legacy": dict(block=BasicBlock, repeats=(2, 2, 2, 2), gate=rectified(SE)),
    "se_resnet34_legacy": dict(block=BasicBlock, repeats=(3, 4, 6, 3), gate=rectified(SE)),
}
VARIANTS = {
    #                                                         blocks in conv2_x to conv5_x
    "se_resnet18": dict(block=BasicBlock, repeats=(2, 2, 2, 2), gate=SE),
    "se_resnet34": dict(block=BasicBlock, repeats=(3, 4, 6, 3), gate=SE),
    "se_resnet50_v1_5": dict(block=Bottleneck, repeats=(3, 4, 6, 3), gate=SE),
    "se_resnet101_v1_5": dict(block=Bottleneck, repeats=(3, 4, 23, 3), gate=SE),
    "se_resnet152_v1_5": dict(block=Bottleneck, repeats=(3, 8, 36, 3), gate=SE),
    "se_resnext50_32x4d_v1_5": dict(block=Bottleneck, repeats=(3, 4, 6, 3), groups=32, group_width=4, gate=SE),
    "se_resnext101_32x4d_v1_5": dict(block=Bottleneck, repeats=(3, 4, 23, 3), groups=32, group_width=4, gate=SE),
}
SENETS = {
    "senet154": dict(stem_pool=overhanging_pool),
    "senet154_v1_5": dict(stem_pool=padded_pool),
}
register(AuthorsSEResNet, AUTHORS)
register(SEResNet, VARIANTS)
register(SENet154, SENETS)
