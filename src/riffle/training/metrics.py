"""How good a network is on pictures it did not learn from."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]
Shares = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def confusion(labels: Labels, predicted: Labels, classes: int) -> Labels:
    """Counts (true class, predicted class) of class numbers that count from 0."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def percent_right(counts: Labels) -> list[float | None]:
    """Of each class, from its confusion matrix (true class, predicted class); None for a class that is not there."""
    totals = counts.sum(axis=1)
    return [
        100.0 * int(right) / int(total) if total else None
        for right, total in zip(counts.diagonal(), totals, strict=True)
    ]


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a proportion, in percent (Wilson 1927): sound near 0 and 100 % and for small counts."""
    z = 1.959964  # the normal distribution's 97.5 % quantile
    share = hits / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


@dataclass(frozen=True)
class Scores:
    """Predictions of a set of pictures, in their order, and what follows from them."""

    probabilities: Probabilities
    """(pictures, classes), each row sums to 1."""
    labels: Labels
    classes: tuple[str, ...]

    @cached_property
    def predicted(self) -> Labels:
        """The most probable class of each picture."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def top1(self) -> float:
        """Percent of pictures whose most probable class is right."""
        return 100.0 * float((self.predicted == self.labels).mean())

    @property
    def top5(self) -> float | None:
        """Percent of pictures whose class is among the five most probable; None with five classes or fewer."""
        if len(self.classes) <= 5:
            return None
        best = np.argpartition(-self.probabilities, 4, axis=1)[:, :5]
        return 100.0 * float((best == self.labels[:, None]).any(axis=1).mean())

    @property
    def loss(self) -> float:
        """Mean negative log-probability of the right class, in nats."""
        right = self.probabilities[np.arange(len(self.labels)), self.labels]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    @cached_property
    def confusion(self) -> Labels:
        """Counts (true class, predicted class)."""
        return confusion(self.labels, self.predicted, len(self.classes))

    @property
    def per_class(self) -> list[float | None]:
        """Percent right of each class's pictures; None for a class without any."""
        return percent_right(self.confusion)

    def precision_recall(self, label: int) -> tuple[Shares, Shares]:
        """Precision and recall, 0 to 1, of taking for a class all pictures above each probability for it.

        Recall falls from 1 to 0. The class has at least one picture.
        """
        from sklearn.metrics import precision_recall_curve  # half a second to import

        found = precision_recall_curve(self.labels == label, self.probabilities[:, label], drop_intermediate=True)
        return found[0], found[1]

    @cached_property
    def average_precision(self) -> list[float | None]:
        """Percent, of each class: the mean of precision over recall; None for a class without any pictures."""
        counts = self.confusion.sum(axis=1)
        curves = (self.precision_recall(label) if counts[label] else None for label in range(len(self.classes)))
        return [
            None if curve is None else -100.0 * float((np.diff(curve[1]) * curve[0][:-1]).sum()) for curve in curves
        ]

    def mistakes(self, most: int) -> list[int]:
        """Indices of the wrongly judged pictures, the surest first."""
        wrong = np.flatnonzero(self.predicted != self.labels)
        sureness = self.probabilities[wrong, self.predicted[wrong]]
        return [int(index) for index in wrong[np.argsort(-sureness, kind="stable")][:most]]

    def summary(self) -> dict[str, Any]:
        """Loss, top-1 and (with more than five classes) top-5, rounded for reading."""
        scores = {"loss": round(self.loss, 4), "top1": round(self.top1, 2)}
        if self.top5 is not None:
            scores["top5"] = round(self.top5, 2)
        return scores
