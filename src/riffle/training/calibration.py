"""Calibration: how far a network's probabilities are from how often it is right.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, 2017:
https://arxiv.org/abs/1706.04599.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffle.training.metrics import Scores

BINS = 15
"""As in the paper's tables."""
DRAWS = 200
"""Imagined sets of pictures, to tell what chance does."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The pictures whose highest probability, the confidence, lies above ``low`` and not above ``high``."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean of theirs, 0 to 1."""
    right: int
    """How many were judged right."""

    @property
    def accuracy(self) -> float:
        """Share that was judged right, 0 to 1."""
        return self.right / self.count


def bins_of(scores: Scores) -> list[Bin]:
    """Confidence and accuracy by confidence, in bins of equal width; bins without pictures are left out."""
    confidence, right = _confidence(scores), scores.predicted == scores.labels
    numbers = _bin_numbers(confidence)
    return [
        Bin(
            number / BINS,
            (number + 1) / BINS,
            int(members.sum()),
            float(confidence[members].mean()),
            int(right[members].sum()),
        )
        for number in range(BINS)
        if (members := numbers == number).any()
    ]


def calibration_error(scores: Scores) -> float:
    """The expected calibration error, percent: mean distance of confidence and accuracy (equation 3 of the paper)."""
    distances = [abs(one.accuracy - one.confidence) * one.count for one in bins_of(scores)]
    return 100.0 * sum(distances) / len(scores.labels)


def error_by_chance(scores: Scores) -> float:
    """The same, percent, of a network that is as sure and perfectly calibrated: few pictures make even that differ.

    It is the mean over imagined sets, where each picture is judged right with the probability that is its confidence.
    """
    confidence = _confidence(scores)
    numbers = _bin_numbers(confidence)
    rng = np.random.default_rng(0)
    sums = [np.bincount(numbers, (rng.random(len(numbers)) < confidence) - confidence) for _ in range(DRAWS)]
    return 100.0 * float(np.abs(sums).sum(axis=1).mean()) / len(numbers)


def _confidence(scores: Scores) -> npt.NDArray[np.float64]:
    return np.asarray(scores.probabilities.max(axis=1), dtype=np.float64)


def _bin_numbers(confidence: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A border belongs to the bin below it, as in the paper; rounding may carry a probability past 1."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
