"""Very Deep Convolutional Networks for Large-Scale Image Recognition, https://arxiv.org/abs/1409.1556.

Batch normalization came later: the ``_bn`` rows are torchvision's, whose convolutions keep the bias that the norm makes
redundant.
"""

from collections import OrderedDict
from functools import partial
from itertools import pairwise

from torch import nn

from riffle.layers.attention import Gate, squeeze_excite
from riffle.layers.conv import Norm, relu
from riffle.layers.image_classifier import ImageClassifier, deep_head
from riffle.layers.initial import he_normal
from riffle.registry import register

WIDTHS = (64, 128, 256, 512, 512)  # Table 1: channels between one maxpool and the next


def conv3x3(c_in: int, c_out: int, *, norm: Norm | None, gate: Gate | None) -> nn.Sequential:
    """3x3 with bias, normalization where there is one, ReLU, and a gate where there is one."""
    layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(c_in, c_out, 3, padding=1))
    if norm is not None:
        layers["norm"] = norm(c_out)
    layers["act"] = relu()
    if gate is not None:
        layers["gate"] = gate(c_out)
    return nn.Sequential(layers)


class VGG(ImageClassifier):
    """Table 1; ``repeats`` has the convolutions before each of the five maxpools.

    The stem is the first block, at full resolution. The other blocks are the stages, each with the maxpool before it,
    and the last maxpool is the neck.
    """

    def __init__(
        self,
        repeats: tuple[int, int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        norm: Norm | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        unit = partial(conv3x3, norm=norm, gate=gate)
        blocks = [
            [unit(c_in, c_out), *(unit(c_out, c_out) for _ in range(count - 1))]
            for (c_in, c_out), count in zip(pairwise((in_channels, *WIDTHS)), repeats, strict=True)
        ]
        self.stem = nn.Sequential(*blocks[0])
        self.stages = nn.Sequential(*(nn.Sequential(nn.MaxPool2d(2), *block) for block in blocks[1:]))
        self.neck = nn.MaxPool2d(2)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
        self.classifier = deep_head(WIDTHS[-1] * 7 * 7, 4096, num_classes, dropout=dropout)
        he_normal(self)


VARIANTS = {
    "vgg11": dict(repeats=(1, 1, 2, 2, 2)),  # configuration A
    "vgg13": dict(repeats=(2, 2, 2, 2, 2)),  # B
    "vgg16": dict(repeats=(2, 2, 3, 3, 3)),  # D
    "vgg19": dict(repeats=(2, 2, 4, 4, 4)),  # E
}
NORMED = {f"{name}_bn": {**row, "norm": nn.BatchNorm2d} for name, row in VARIANTS.items()}
# Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507, Table 2: a gate behind the ReLU of every
# convolution (section 3.3). The paper prints 15.48 GFLOPs: these are 15,470,490,624 MACs and the 13,547,520 products
# of the gates' rescaling, which other counts leave out.
GATED = {"se_vgg16_bn": {**NORMED["vgg16_bn"], "gate": squeeze_excite(16)}}
register(VGG, {**VARIANTS, **NORMED, **GATED})
