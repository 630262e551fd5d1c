"""CBAM: Convolutional Block Attention Module, https://arxiv.org/abs/1807.06521.

The gate stands at the end of each branch, before the addition (Fig. 3). Its released form has biases, a batch
normalization and the other order of the two maps (:class:`~riffle.layers.attention.CBAM`); the parameters in Table 4
count that form. The complexities in Table 4 count the stride in the first 1x1 convolution of a bottleneck (ResNet-50:
3.858 billion), while the released ResNets have it in the 3x3 one: they compute 0.231 billion more than the table says.
"""

from functools import partial

from riffle.layers.attention import CBAM
from riffle.models.resnet import BasicBlock, Bottleneck, EarlyBottleneck, ResNet
from riffle.registry import register

RELEASED = partial(CBAM, released=True)


class CBAMResNet(ResNet):
    """Table 4 and Fig. 3: residual networks with a CBAM at the end of each branch."""


VARIANTS = {
    #                                                  blocks in conv2_x to conv5_x
    "cbam_resnet18": dict(block=BasicBlock, repeats=(2, 2, 2, 2), gate=RELEASED),
    "cbam_resnet34": dict(block=BasicBlock, repeats=(3, 4, 6, 3), gate=RELEASED),
    "cbam_resnet50": dict(block=Bottleneck, repeats=(3, 4, 6, 3), gate=RELEASED),
    "cbam_resnet101": dict(block=Bottleneck, repeats=(3, 4, 23, 3), gate=RELEASED),
    "cbam_resnet152": dict(block=Bottleneck, repeats=(3, 8, 36, 3), gate=RELEASED),
    # No ResNeXt was released. Only with the stride in the first 1x1 do Table 4's 3.774 and 7.519 billion come out.
    "cbam_resnext50_32x4d": dict(block=EarlyBottleneck, repeats=(3, 4, 6, 3), groups=32, group_width=4, gate=RELEASED),
    "cbam_resnext101_32x4d": dict(
        block=EarlyBottleneck, repeats=(3, 4, 23, 3), groups=32, group_width=4, gate=RELEASED
    ),
    # All widths but the stem's are widened: 1.5 x 64 and 2 x 64 in conv2_x.
    "cbam_wide_resnet18_x1_5": dict(block=BasicBlock, repeats=(2, 2, 2, 2), group_width=96, gate=RELEASED),
    "cbam_wide_resnet18_x2_0": dict(block=BasicBlock, repeats=(2, 2, 2, 2), group_width=128, gate=RELEASED),
    # Equations 2 and 3 to the letter, on the paper's own ResNet-50. Table 4's 28.09M are with the released biases and
    # norms; to the letter it is 28.07M. The complexity, 3.864 billion, is the paper's.
    "cbam_resnet50_paper": dict(block=EarlyBottleneck, repeats=(3, 4, 6, 3), gate=CBAM),
}
register(CBAMResNet, VARIANTS)
