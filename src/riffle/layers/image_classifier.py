"""The parts that every network here has, in the order of computation."""

from typing import Any

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """``stem -> stages -> neck -> pool -> classifier``; a paper's network fills in the parts.

    ``stages`` is a sequence of stages, each at one resolution; ``pool`` ends in a vector; ``classifier`` holds the only
    linear layer that depends on the number of classes. Whatever a paper lacks is an ``nn.Identity``.
    """

    stem: nn.Module
    stages: nn.Sequential
    neck: nn.Module
    pool: nn.Module
    classifier: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.card: Any = None  # the registry's note on where this network comes from

    def forward_features(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to the last feature map, before pooling."""
        return self.neck(self.stages(self.stem(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to scores (batch, num_classes)."""
        return self.classifier(self.pool(self.forward_features(x)))  # type: ignore[no-any-return]


def global_pool() -> nn.Sequential:
    """Average over all pixels: (batch, channels, height, width) to (batch, channels)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
