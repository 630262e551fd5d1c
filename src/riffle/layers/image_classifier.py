"""The parts that every image network here has, in the order of computation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """``stem -> stages -> neck -> pool -> classifier``; a paper's network fills in the parts.

    ``stages`` is a sequence of stages, each at one resolution: what halves it stands at a stage's beginning. ``pool``
    ends in a vector. ``classifier`` ends in the layer that depends on the number of classes. Whatever a paper lacks is
    an ``nn.Identity``.
    """

    stem: nn.Module
    stages: nn.Sequential
    neck: nn.Module
    pool: nn.Module
    classifier: nn.Module
    size: int = 224
    """Side in pixels of the pictures that the network is meant for; others work too."""

    def __init__(self) -> None:
        super().__init__()
        self.card: Any = None  # the registry's note on where this network comes from

    def forward_features(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to the last feature map, before pooling."""
        return self.neck(self.stages(self.stem(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to scores (batch, num_classes)."""
        return self.classifier(self.pool(self.forward_features(x)))  # type: ignore[no-any-return]

    def feature_maps(self, x: Tensor, *, stages: Sequence[int] | None = None) -> list[Tensor]:
        """What the stages give, finest first: the feature maps that detectors and segmenters build on.

        Args:
            x: pictures (batch, in_channels, height, width).
            stages: which ones, counted from 0; all when left out. The stages behind the last one are not run.

        Raises:
            ValueError: there is no such stage.
        """
        wanted = set(range(len(self.stages)) if stages is None else stages)
        if not wanted or not wanted <= set(range(len(self.stages))):
            raise ValueError(f"stages are 0 to {len(self.stages) - 1} here; got {stages}")
        maps = []
        x = self.stem(x)
        for index, stage in enumerate(list(self.stages)[: max(wanted) + 1]):
            x = stage(x)
            if index in wanted:
                maps.append(x)
        return maps

    def example_inputs(self, size: int | None = None, *, batch: int = 1) -> tuple[Tensor, ...]:
        """Zeros of the shape that ``forward`` takes, for counting and exporting; ``size`` is the pictures' side."""
        side = size or self.size
        weight = next(self.parameters())
        in_channels = next(m.in_channels for m in self.modules() if isinstance(m, nn.Conv2d))
        return (torch.zeros(batch, in_channels, side, side, device=weight.device, dtype=weight.dtype),)


def global_pool() -> nn.Sequential:
    """Average over all pixels: (batch, channels, height, width) to (batch, channels)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def head(width: int, num_classes: int, *, dropout: float = 0.0) -> nn.Module:
    """A linear classifier, behind dropout where there is any."""
    linear = nn.Linear(width, num_classes)
    return nn.Sequential(nn.Dropout(dropout), linear) if dropout else linear


def deep_head(c_in: int, hidden: int, num_classes: int, *, dropout: float) -> nn.Sequential:
    """Two hidden layers with dropout behind each, then the scores: how AlexNet and VGG end."""
    return nn.Sequential(
        nn.Linear(c_in, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )
