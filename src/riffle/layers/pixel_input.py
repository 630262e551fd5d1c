"""Preprocessing's last step inside a network: from pixels to normalized input."""

import torch
from torch import Tensor, nn

from riffle.preprocessing import Preprocessing


def to_images(pixels: Tensor) -> Tensor:
    """Pixels (batch, height, width, 3) as float32 images (batch, 3, height, width) in 0..255."""
    return pixels.permute(0, 3, 1, 2).float()


class Normalize(nn.Module):
    """Images (batch, 3, height, width), red first, in 0..``white``, to a network's input of the same shape."""

    factor: Tensor
    offset: Tensor

    def __init__(self, preprocessing: Preprocessing, *, white: float) -> None:
        super().__init__()
        mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
        self.register_buffer("factor", 255 / white / (preprocessing.scale * std), persistent=False)
        self.register_buffer("offset", -mean / std, persistent=False)
        self.is_bgr = preprocessing.channels == "BGR"

    def forward(self, images: Tensor) -> Tensor:
        """Scale and shift, and reverse the channels where the network wants blue first."""
        normal = images * self.factor + self.offset
        return normal.flip(1) if self.is_bgr else normal


class PixelInput(nn.Module):
    """Pixels uint8 (batch, height, width, 3), red first, to a network's input (batch, 3, height, width).

    Gives the numbers of :class:`riffle.preprocessing.Preprocessing`, to rounding.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.normalize = Normalize(preprocessing, white=255.0)

    def forward(self, pixels: Tensor) -> Tensor:
        """Reorder, scale and shift."""
        return self.normalize(to_images(pixels))  # type: ignore[no-any-return]
