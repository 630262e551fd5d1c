"""How the Transformer learns: Attention Is All You Need, https://arxiv.org/abs/1706.03762, section 5.

The optimizer there is Adam with betas 0.9 and 0.98 and an epsilon of 1e-9 (section 5.3).
"""

import torch.nn.functional as F
from torch import Tensor


def smoothed_cross_entropy(scores: Tensor, target: Tensor, *, padding: int, smoothing: float = 0.1) -> Tensor:
    """Label smoothing (section 5.4), averaged over the tokens that are not padding.

    Scores (batch, length, vocabulary) and token numbers (batch, length). As in Szegedy et al., which the paper follows
    (https://arxiv.org/abs/1512.00567, section 7), ``smoothing`` is spread over the whole vocabulary, the right token
    included; the authors' release spreads it over the others only.
    """
    return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=padding, label_smoothing=smoothing)


def warm_up_rate(step: int, *, width: int, warmup: int = 4000) -> float:
    """Equation 3: a linear rise over ``warmup`` steps, then a fall with the square root. Steps count from 1."""
    if step < 1:
        raise ValueError(f"steps count from 1; got {step}")
    return float(width**-0.5 * min(step**-0.5, step * warmup**-1.5))
