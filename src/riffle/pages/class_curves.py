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
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]  # without sklearn's end, which no threshold reaches
    if len(recall) > MOST_POINTS:
        kept = np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(int)
        precision, recall = precision[kept], recall[kept]
    corners = []
    before = 0.0
    for height, right in zip(precision, recall, strict=True):
        corners += [(before, height), (right, height)] if right > before else [(right, height)]
        before = float(right)
    return " ".join(f"{SIDE * x:.4g},{SIDE * (1 - y):.4g}" for x, y in corners)
