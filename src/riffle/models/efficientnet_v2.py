"""EfficientNetV2: Smaller Models and Faster Training, https://arxiv.org/abs/2104.00298.

The tables here are those of the release and of the paper's third version. The first version's S is wider at its end
(272 and 1792 channels where the release has 256 and 1280), and comes to 24M parameters.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from riffle.layers.drop_path import DropPath
from riffle.layers.image_classifier import ImageClassifier, global_pool, head
from riffle.layers.inverted_residual import Unit
from riffle.models.efficientnet import MBConv, Row, blocks, convolution_eps_1e3, convolution_tf
from riffle.registry import register

C_NECK = 1280


class FusedMBConv(nn.Module):
    """Fig. 2: one dense convolution in place of MBConv's expansion and depthwise convolution, then the projection.

    Table 4 has no gate in it, though the figure draws one. Where nothing is expanded there is nothing to project back:
    the release then has the dense convolution alone, with its activation.
    """

    def __init__(
        self, c_in: int, c_out: int, hidden: int, kernel: int, stride: int, *, unit: Unit, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        if hidden == c_in:
            self.branch = nn.Sequential(unit(c_in, c_out, kernel, stride))
        else:
            self.branch = nn.Sequential(unit(c_in, hidden, kernel, stride), unit(hidden, c_out, act=None))
        self.drop_path = DropPath(drop_path)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        y = self.branch(x)
        return x + self.drop_path(y) if self.is_residual else y  # type: ignore[no-any-return]


class EfficientNetV2(ImageClassifier):
    """Table 4, and its like for M and L. The stem is as wide as the first row, which does not expand."""

    def __init__(
        self,
        table: Sequence[Row],
        *,
        size: int = 384,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        unit: Unit = convolution_eps_1e3,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.size = size
        c_stem = table[0].channels
        self.stem = unit(in_channels, c_stem, 3, 2)
        self.stages = blocks(table, c_stem, unit=unit, drop_path=drop_path)
        self.neck = unit(table[-1].channels, C_NECK)
        self.pool = global_pool()
        self.classifier = head(C_NECK, num_classes, dropout=dropout)


S = (
    #   operator, expansion, kernel, stride, channels, layers
    Row(FusedMBConv, 1, 3, 1, 24, 2),
    Row(FusedMBConv, 4, 3, 2, 48, 4),
    Row(FusedMBConv, 4, 3, 2, 64, 4),
    Row(MBConv, 4, 3, 2, 128, 6),
    Row(MBConv, 6, 3, 1, 160, 9),
    Row(MBConv, 6, 3, 2, 256, 15),
)
M = (
    Row(FusedMBConv, 1, 3, 1, 24, 3),
    Row(FusedMBConv, 4, 3, 2, 48, 5),
    Row(FusedMBConv, 4, 3, 2, 80, 5),
    Row(MBConv, 4, 3, 2, 160, 7),
    Row(MBConv, 6, 3, 1, 176, 14),
    Row(MBConv, 6, 3, 2, 304, 18),
    Row(MBConv, 6, 3, 1, 512, 5),
)
L = (
    Row(FusedMBConv, 1, 3, 1, 32, 4),
    Row(FusedMBConv, 4, 3, 2, 64, 7),
    Row(FusedMBConv, 4, 3, 2, 96, 7),
    Row(MBConv, 4, 3, 2, 192, 10),
    Row(MBConv, 6, 3, 1, 224, 19),
    Row(MBConv, 6, 3, 2, 384, 25),
    Row(MBConv, 6, 3, 1, 640, 7),
)
VARIANTS: dict[str, dict[str, Any]] = {
    "efficientnet_v2_s": dict(table=S, size=384, dropout=0.2),
    "efficientnet_v2_m": dict(table=M, size=480, dropout=0.3),
    "efficientnet_v2_l": dict(table=L, size=480, dropout=0.4),
}
# The authors' own weights need TensorFlow's padding; torchvision trained S and M anew, and ported L with its eps.
TENSORFLOW = {f"{name}_tf": {**row, "unit": convolution_tf} for name, row in VARIANTS.items()}
register(EfficientNetV2, {**VARIANTS, **TENSORFLOW})
