"""A running average of the weights, which is often better than the weights of any step.

Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; as an exponential moving average in
https://arxiv.org/abs/1512.00567, section 8.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network that follows it; ``update_parameters(network)`` after every step, ``module`` is the copy.

    Args:
        network: batch norms' statistics are averaged as the weights are.
        decay: share that the average keeps in a step. The first steps keep less, (1 + n) / (10 + n) after n, so that
            the untrained weights are soon forgotten.
    """
    return AveragedModel(network, multi_avg_fn=partial(_follow, decay), use_buffers=True)


@torch.no_grad()
def _follow(decay: float, average: Any, current: Any, steps: Any) -> None:
    keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
    if torch.is_floating_point(average[0]):
        torch._foreach_lerp_(average, current, 1 - keep)
    else:  # how many batches a norm has seen
        for one, other in zip(average, current, strict=True):
            assert isinstance(one, Tensor)
            one.copy_(other)
