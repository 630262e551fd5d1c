"""An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, https://arxiv.org/abs/2010.11929.

Ti and S are sizes of Training data-efficient image transformers (DeiT), https://arxiv.org/abs/2012.12877, Table 1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.image_classifier import ImageClassifier
from riffle.layers.transformer import PreNormEncoderLayer
from riffle.registry import register

PATCH = 16
STAGES, LAYERS = 4, 3  # twelve layers, taken by threes: where detectors and segmenters take their maps
EXPANSION = 4  # Table 1: the MLP's size over the hidden size


class PatchEmbedding(nn.Module):
    """Equation 1: the class token, then a token for each patch, all with learned positions.

    A picture whose sides are no multiples of the patch is padded with zeros, below and on the right. For another number
    of patches than ``grid`` by ``grid`` the positions are interpolated (section 3.2).
    """

    def __init__(self, in_channels: int, width: int, grid: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.grid = grid
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, width))
        self.projection = nn.Conv2d(in_channels, width, PATCH, stride=PATCH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to (batch, 1 + patches, width), patches row by row."""
        below, right = (-side % PATCH for side in x.shape[2:])
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        patches = self.projection(x)
        tokens = torch.cat((self.class_token.expand(x.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)), dim=1)
        return self.dropout(tokens + self._positions(*patches.shape[2:]))  # type: ignore[no-any-return]

    def _positions(self, height: int, width: int) -> Tensor:
        if (height, width) == (self.grid, self.grid):
            return self.position_embed
        of_class, of_patches = self.position_embed.tensor_split((1,), dim=1)
        square = of_patches.transpose(1, 2).reshape(1, -1, self.grid, self.grid)
        # Antialiased, as timm does it: fewer patches would otherwise see the positions of a few places only.
        resized = F.interpolate(square, size=(height, width), mode="bicubic", antialias=True)
        return torch.cat((of_class, resized.flatten(2).transpose(1, 2)), dim=1)


class ClassToken(nn.Module):
    """Equation 4: the class token speaks for the picture."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, 1 + patches, width) to (batch, width)."""
        return tokens[:, 0]


class VisionTransformer(ImageClassifier):
    """Fig. 1 and Table 1. Between the stem and the pool there are tokens (batch, 1 + patches, width), no maps."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        size: int = 224,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.stem = PatchEmbedding(in_channels, width, -(-size // PATCH), dropout=dropout)
        last = STAGES * LAYERS - 1  # the one that is left out most often, with the whole probability, as in DeiT
        layers = [
            PreNormEncoderLayer(width, EXPANSION * width, heads, dropout=dropout, drop_path=drop_path * index / last)
            for index in range(STAGES * LAYERS)
        ]
        self.stages = nn.Sequential(*(nn.Sequential(*layers[i : i + LAYERS]) for i in range(0, len(layers), LAYERS)))
        self.neck = nn.LayerNorm(width, eps=1e-6)
        self.pool = ClassToken()
        self.classifier = nn.Linear(width, num_classes)
        self._initialise()

    def feature_maps(self, x: Tensor, *, stages: Sequence[int] | None = None) -> list[Tensor]:
        """As the base class has it; the tokens of the patches are laid out as (batch, width, rows, columns).

        The class token is left out. All stages have one resolution, a sixteenth of the picture's.
        """
        rows, columns = (-(-side // PATCH) for side in x.shape[2:])
        return [
            tokens[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, rows, columns)
            for tokens in super().feature_maps(x, stages=stages)
        ]

    def _initialise(self) -> None:
        """Normal of 0.02, cut off, for every weight, token and position, as the authors of DeiT and timm have it."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all have one here
        for tokens in self.stem.parameters(recurse=False):
            nn.init.trunc_normal_(tokens, std=0.02)


VARIANTS = {
    #                 hidden size D, heads
    "vit_ti_16": dict(width=192, heads=3),
    "vit_s_16": dict(width=384, heads=6),
    "vit_b_16": dict(width=768, heads=12),
}
register(VisionTransformer, VARIANTS)
