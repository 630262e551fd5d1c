"""A small network in the manner of LeNet-5: five plain convolutions.

After LeCun et al., Gradient-Based Learning Applied to Document Recognition,
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf: convolutions without padding, each halved by a pooling, the last one
as large as the map that reaches it ("C5"). Widths and kernels here are those of a common exercise for photographs, and
ReLU and maximum pooling take the place of the paper's squashing functions and trainable averages.
"""

from torch import nn

from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.registry import register


def conv_pool(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Convolution without padding, ReLU, maximum of each 2x2."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel), nn.ReLU(inplace=True), nn.MaxPool2d(2))


class LeNet(ImageClassifier):
    """Five convolutions; the last kernel covers the whole map that an input of ``size`` leaves (5 at 128).

    Larger inputs than ``size`` work too: the positions of the last kernel are averaged.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int, int],
        kernels: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 128,
    ) -> None:
        super().__init__()
        self.size = size
        last = size
        for kernel in kernels:
            last = (last - kernel + 1) // 2
        if last < 1:
            raise ValueError(f"lenet needs pictures of at least 64 pixels; got {size}")
        channels = (in_channels, *widths)
        blocks = [conv_pool(*layer) for layer in zip(channels, widths, kernels, strict=False)]
        self.stem = blocks[0]
        self.stages = nn.Sequential(*blocks[1:])
        self.neck = nn.Sequential(nn.Conv2d(widths[3], widths[4], last), nn.ReLU(inplace=True))
        self.pool = global_pool()
        self.classifier = nn.Linear(widths[4], num_classes)


VARIANTS = {
    #                convolutions 1 to 5            1 to 4; the fifth follows from the size
    "lenet": dict(widths=(6, 16, 32, 32, 32), kernels=(5, 5, 4, 4)),
}
register(LeNet, VARIANTS)
