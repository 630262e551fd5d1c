"""HybridSN: Exploring 3-D-2-D CNN Feature Hierarchy for Hyperspectral Image Classification.

Roy et al., https://arxiv.org/abs/1902.06701; the authors' notebook is https://github.com/gokriznastic/HybridSN.
"""

import torch
from torch import Tensor, nn

from riffle.layers.image_classifier import ImageClassifier
from riffle.registry import register

# Table I. The paper writes kernels as height x width x spectrum; here the spectrum comes first, as in the input.
SPECTRAL = ((8, (7, 3, 3)), (16, (5, 3, 3)), (32, (3, 3, 3)))  # 3-D convolutions: maps, kernel
SPATIAL = (64, 3)  # the 2-D convolution
DENSE = (256, 128)
LEAST_BANDS = 13  # 7 - 1 + 5 - 1 + 3 - 1 bands go, and one must be left
LEAST_SIZE = 9  # four kernels of 3 take 8 pixels


class HybridSN(ImageClassifier):
    """Table I: three 3-D convolutions, one 2-D convolution over all maps and bands that are left, three dense layers.

    It classifies the pixel in the middle of a window. ``forward`` takes (batch, 1, bands, size, size), the bands being
    those that a PCA of the scene leaves, and gives scores (batch, num_classes). No convolution pads, and the first
    dense layer sees every place of the window: it takes windows of ``size`` pixels only.
    """

    def __init__(self, bands: int, *, num_classes: int = 16, size: int = 25, dropout: float = 0.4) -> None:
        super().__init__()
        if bands < LEAST_BANDS:
            raise ValueError(f"hybridsn needs at least {LEAST_BANDS} bands; got {bands}")
        if size < LEAST_SIZE:
            raise ValueError(f"hybridsn needs windows of at least {LEAST_SIZE} pixels; got {size}")
        self.bands = bands
        self.size = size
        spectral = nn.Sequential()
        c_in = 1
        for c_out, kernel in SPECTRAL:
            spectral.extend([nn.Conv3d(c_in, c_out, kernel), nn.ReLU(inplace=True)])
            c_in = c_out
        spectral.append(nn.Flatten(1, 2))  # the bands of the first map, then those of the second, …
        c_out, kernel_2d = SPATIAL
        spatial = nn.Sequential(
            nn.Conv2d(c_in * (bands - LEAST_BANDS + 1), c_out, kernel_2d),
            nn.ReLU(inplace=True),
        )
        self.stem = nn.Identity()
        self.stages = nn.Sequential(spectral, spatial)
        self.neck = nn.Identity()
        self.pool = nn.Flatten()
        self.classifier = nn.Sequential()
        width = c_out * (size - LEAST_SIZE + 1) ** 2
        for dense in DENSE:
            self.classifier.extend([nn.Linear(width, dense), nn.ReLU(inplace=True), nn.Dropout(dropout)])
            width = dense
        self.classifier.append(nn.Linear(width, num_classes))

    def example_inputs(self, size: int | None = None, *, batch: int = 1) -> tuple[Tensor, ...]:
        """Zeros (batch, 1, bands, size, size), for counting and exporting.

        Raises:
            ValueError: ``size`` is not the one that the network was made for.
        """
        if size not in (None, self.size):
            raise ValueError(f"this hybridsn takes windows of {self.size} pixels; got {size}")
        weight = next(self.parameters())
        shape = (batch, 1, self.bands, self.size, self.size)
        return (torch.zeros(shape, device=weight.device, dtype=weight.dtype),)


VARIANTS = {
    # bands: what the paper keeps of 200, 103 and 204; classes of each scene
    "hybridsn_indian_pines": dict(bands=30, num_classes=16),
    "hybridsn_pavia_university": dict(bands=15, num_classes=9),
    "hybridsn_salinas": dict(bands=15, num_classes=16),
}
register(HybridSN, VARIANTS)
