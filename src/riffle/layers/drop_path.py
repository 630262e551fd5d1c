"""Stochastic depth: residual branches that are left out at random while training."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leave a residual branch out for some pictures of a batch, and scale it up for the others.

    Huang et al., Deep Networks with Stochastic Depth, https://arxiv.org/abs/1603.09382. ``probability`` is that of
    leaving out; in evaluation nothing happens.
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"the probability of leaving a branch out is at least 0 and below 1; got {probability}")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Any shape whose first dimension is the batch, to the same shape."""
        if not self.training or self.probability == 0:
            return x
        kept = 1 - self.probability
        mask = torch.bernoulli(x.new_full((len(x), *[1] * (x.ndim - 1)), kept))
        return x * (mask / kept)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"probability={self.probability}"


def rising(last: float, count: int) -> list[float]:
    """Probabilities for ``count`` blocks in a row, from 0 up to just below ``last``: early blocks matter more.

    Block i of n has i / n of ``last``, as the EfficientNets' released code counts.
    """
    return [last * block / count for block in range(count)]
