"""Aggregated Residual Transformations for Deep Neural Networks, https://arxiv.org/abs/1611.05431.

A bottleneck whose 3x3 convolution has groups, the form c of Fig. 3; the stride stands in that convolution, in the paper
too (Section 4). A name tells the cardinality and the width of one group in conv2_x: ``32x4d`` is 32 groups of 4.
"""

from riffle.models.resnet import Bottleneck, ResNet
from riffle.registry import register


class ResNeXt(ResNet):
    """Table 1, right."""


DEPTH_50 = (3, 4, 6, 3)  # Table 1: blocks in conv2_x to conv5_x
DEPTH_101 = (3, 4, 23, 3)

VARIANTS = {
    # Tables 2 and 3: more groups at about the same complexity
    "resnext50_1x64d": dict(block=Bottleneck, repeats=DEPTH_50, groups=1, group_width=64),
    "resnext50_2x40d": dict(block=Bottleneck, repeats=DEPTH_50, groups=2, group_width=40),
    "resnext50_4x24d": dict(block=Bottleneck, repeats=DEPTH_50, groups=4, group_width=24),
    "resnext50_8x14d": dict(block=Bottleneck, repeats=DEPTH_50, groups=8, group_width=14),
    "resnext50_32x4d": dict(block=Bottleneck, repeats=DEPTH_50, groups=32, group_width=4),
    "resnext101_1x64d": dict(block=Bottleneck, repeats=DEPTH_101, groups=1, group_width=64),
    "resnext101_2x40d": dict(block=Bottleneck, repeats=DEPTH_101, groups=2, group_width=40),
    "resnext101_4x24d": dict(block=Bottleneck, repeats=DEPTH_101, groups=4, group_width=24),
    "resnext101_8x14d": dict(block=Bottleneck, repeats=DEPTH_101, groups=8, group_width=14),
    "resnext101_32x4d": dict(block=Bottleneck, repeats=DEPTH_101, groups=32, group_width=4),
    # Table 4: twice the complexity
    "resnext101_1x100d": dict(block=Bottleneck, repeats=DEPTH_101, groups=1, group_width=100),
    "resnext101_2x64d": dict(block=Bottleneck, repeats=DEPTH_101, groups=2, group_width=64),
    "resnext101_64x4d": dict(block=Bottleneck, repeats=DEPTH_101, groups=64, group_width=4),
    # Not in the paper; torchvision has it.
    "resnext101_32x8d": dict(block=Bottleneck, repeats=DEPTH_101, groups=32, group_width=8),
}
register(ResNeXt, VARIANTS)
