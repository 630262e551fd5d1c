"""A network with the usual layers, trained and counted in no time, for tests of what happens around a network."""

import torch
from torch import nn


def tiny(classes: int = 3) -> nn.Sequential:
    """A convolution, a batch norm, a dropout and a classifier, with the same weights every time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8, classes),
    )
