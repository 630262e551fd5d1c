"""Preprocessing's last step inside a network: from pixels to normalized input."""

import torch
from torch import Tensor, nn

from riffle.preprocessing import Preprocessing


class PixelInput(nn.Module):
    """uint8 pixels (batch, height, width, 3), red first, to normalized float32 (batch, 3, height, width)."""

    factor: Tensor
    offset: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
        self.register_buffer("factor", 1 / (preprocessing.scale * std), persistent=False)
        self.register_buffer("offset", -mean / std, persistent=False)
        self.is_bgr = preprocessing.channels == "BGR"

    def forward(self, pixels: Tensor) -> Tensor:
        """Scale and normalize; the same numbers as :class:`riffle.preprocessing.Preprocessing` to rounding."""
        normal = pixels.permute(0, 3, 1, 2).to(self.factor.dtype) * self.factor + self.offset
        return normal.flip(1) if self.is_bgr else normal
