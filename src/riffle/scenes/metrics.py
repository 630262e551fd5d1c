"""How good a map is: overall and average accuracy, kappa, and the confusion behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from riffle.training.metrics import confusion, percent_right

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """What follows from a confusion matrix (true class, predicted class) of pixels."""

    confusion: Counts

    @classmethod
    def of(cls, truth: Counts, predicted: Counts, classes: int) -> "Accuracy":
        """From class numbers that count from 0, one pair a pixel."""
        return cls(confusion(truth, predicted, classes))

    @property
    def oa(self) -> float:
        """Overall accuracy: percent of the pixels that are right."""
        return 100.0 * float(self.confusion.trace() / self.confusion.sum())

    @property
    def per_class(self) -> list[float | None]:
        """Percent right of each class; None for a class without test pixels."""
        return percent_right(self.confusion)

    @property
    def aa(self) -> float:
        """Average accuracy: the mean of the classes that have test pixels."""
        return mean(value for value in self.per_class if value is not None)

    @property
    def judged(self) -> int:
        """Classes that have test pixels: over so many the average runs."""
        return sum(value is not None for value in self.per_class)

    @property
    def kappa(self) -> float:
        """Cohen's kappa times 100: how much of the agreement is beyond chance."""
        total = self.confusion.sum()
        chance = float((self.confusion.sum(axis=0) / total) @ (self.confusion.sum(axis=1) / total))
        return 100.0 if chance == 1 else 100.0 * (self.oa / 100 - chance) / (1 - chance)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "oa": self.oa,
            "aa": self.aa,
            "kappa": self.kappa,
            "classes_judged": self.judged,
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
        }


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample; 0 for one value)."""
    return mean(values), stdev(values) if len(values) > 1 else 0.0
