"""Temperature scaling: one number that the scores are divided by, so that probabilities mean what they say.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, 2017, section 4.2:
https://arxiv.org/abs/1706.04599. Above 1 it makes a network less sure, below 1 surer; no label changes.
"""

from copy import deepcopy
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from riffle.card import card_of
from riffle.training.metrics import Scores
from riffle.training.transfer import head_of

LIMITS = (0.05, 100.0)
"""Lowest and highest temperature that are looked at."""
FOLDS = 5
"""Parts for judging; each is judged with a temperature from four fifths, nearly the one that all give."""
TOLERANCE = 1e-9
"""Largest difference in float64, relative to the scores, that dividing the last layer may make."""

Network = TypeVar("Network", bound=nn.Module)


def fit_temperature(scores: Scores) -> float | None:
    """The temperature with the least loss on these pictures.

    None where there is none within ``LIMITS``: without a single mistake the loss falls for ever as the network gets
    surer, and judging worse than by chance it falls as it gets less sure.
    """
    if not (scores.predicted != scores.labels).any():
        return None
    logits = _logits(scores)
    rows = np.arange(len(logits))

    def loss(log_temperature: float) -> float:
        shares = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(shares[rows, scores.labels].mean())

    low, high = np.log(LIMITS)
    found = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    return float(np.exp(found)) if low + 1e-3 < found < high - 1e-3 else None


def at_temperature(scores: Scores, temperature: float) -> Scores:
    """The same pictures, judged with divided scores."""
    shares = softmax(_logits(scores) / temperature, axis=1).astype(np.float32)
    return replace(scores, probabilities=shares)


def cross_fitted(scores: Scores) -> Scores | None:
    """Judged with temperatures that each come from other pictures, so that what they mend is not flattered.

    None where a part of the pictures gives no temperature.
    """
    shares = np.empty_like(scores.probabilities)
    for part in np.array_split(np.random.default_rng(0).permutation(len(shares)), FOLDS):
        others = np.setdiff1d(np.arange(len(shares)), part)
        temperature = fit_temperature(_among(scores, others))
        if temperature is None:
            return None
        shares[part] = at_temperature(_among(scores, part), temperature).probabilities
    return replace(scores, probabilities=shares)


def calibrate(network: Network, temperature: float, example: Tensor) -> Network:
    """A copy whose scores are divided by a temperature: its last layer's weights and bias are. Its card tells it.

    Args:
        network: any whose scores are those of its last layer, up to what scales along, as a ReLU or an average does.
        temperature: above 0.
        example: of the input's shape; any numbers. On random ones of that shape the copy is proven in float64.

    Raises:
        ValueError: a temperature that is not above 0, or dividing the last layer does not divide the scores.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"a temperature is a number above 0; got {temperature}")
    exact = deepcopy(network).cpu().double().eval()
    x = torch.randn(example.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        expected = exact(x.clone()) / temperature
        _divide_head(exact, temperature)
        difference = (exact(x) - expected).abs().max().item()
    if not difference <= TOLERANCE * expected.abs().max().item():
        raise ValueError("this network's scores are not its last linear layer's: no temperature can be put into it")
    copy = deepcopy(network)
    _divide_head(copy, temperature)
    card = card_of(network)
    copy.card = replace(card, temperature=card.temperature * temperature)  # type: ignore[assignment]  # a plain attribute
    return copy


def _divide_head(network: nn.Module, temperature: float) -> None:
    head = head_of(network)
    with torch.no_grad():
        head.weight /= temperature
        if head.bias is not None:
            head.bias /= temperature


def _logits(scores: Scores) -> npt.NDArray[np.float64]:
    """Up to a constant for each picture, which probabilities do not keep; one of 0 is taken for the least float."""
    return np.log(np.maximum(scores.probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def _among(scores: Scores, rows: npt.NDArray[np.int64]) -> Scores:
    return replace(scores, probabilities=scores.probabilities[rows], labels=scores.labels[rows])
