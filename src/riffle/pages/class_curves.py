"""Precision over recall of each class, as small charts side by side."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffle.training.metrics import Scores

SIDE = 100
"""Of a chart, in the units of its SVG."""
MOST_CURVES = 30
MOST_POINTS = 100


@dataclass(frozen=True, slots=True)
class Curve:
    """One class."""

    name: str
    average_precision: float
    """Percent."""
    count: int
    """Held-out pictures of the class."""
    points: str
    """As ``<polyline>`` takes them, recall to the right and precision up, in a square of ``SIDE``."""
    chance: float
    """Where the precision of guessing lies: the class's share of all pictures."""


def class_curves(scores: Scores) -> list[Curve]:
    """The classes with the least average precision, the worst first; none without held-out pictures."""
    judged = [(value, label) for label, value in enumerate(scores.average_precision) if value is not None]
    counts = scores.confusion.sum(axis=1)
    return [
        Curve(
            scores.classes[label],
            value,
            int(counts[label]),
            _points(*scores.precision_recall(label)),
            SIDE * (1 - int(counts[label]) / len(scores.labels)),
        )
        for value, label in sorted(judged)[:MOST_CURVES]
    ]


def _points(precision: npt.NDArray[np.float64], recall: npt.NDArray[np.float64]) -> str:
    """Steps, as average precision counts them: each recall has the precision at which it is first reached.

    Of a long curve a part of the points, evenly spread, which at this size looks the same.
    """
    rises = np.flatnonzero(np.diff(recall))[::-1]  # recall falls; scikit-learn's own last point stands for no picture
    if len(rises) > MOST_POINTS:
        rises = rises[np.linspace(0, len(rises) - 1, MOST_POINTS).round().astype(int)]
    right = SIDE * recall[rises]
    left = np.concatenate([[0.0], right[:-1]])
    height = SIDE * (1 - precision[rises])
    return " ".join(f"{a:.4g},{y:.4g} {b:.4g},{y:.4g}" for a, b, y in zip(left, right, height, strict=True))
