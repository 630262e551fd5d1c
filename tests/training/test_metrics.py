import numpy as np
import pytest

from riffle.training.metrics import Scores, wilson_interval

SHARES = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]], np.float32)
LABELS = np.array([0, 1, 1, 0])


def test_scores_by_hand():
    scores = Scores(SHARES, LABELS, ("a", "b", "c"))
    assert scores.top1 == 50.0
    assert scores.top5 is None
    assert scores.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert scores.per_class == [50.0, 50.0, None]
    assert scores.loss == pytest.approx(-np.log([0.7, 0.4, 0.4, 0.1]).mean(), rel=1e-6)
    assert scores.mistakes(5) == [3, 2]
    assert scores.mistakes(1) == [3]
    assert scores.summary() == {"loss": round(scores.loss, 4), "top1": 50.0}


def test_top5_counts_the_five_most_probable():
    shares = np.tile(np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.07], np.float32), (6, 1))
    scores = Scores(shares, np.arange(6), tuple("abcdef"))
    assert scores.top1 == pytest.approx(100 / 6)
    assert scores.top5 == pytest.approx(500 / 6)


# Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3.
@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_interval_as_published(hits, total, low, high):
    assert wilson_interval(hits, total) == pytest.approx((low, high), abs=0.005)
    assert wilson_interval(total - hits, total) == pytest.approx((100 - high, 100 - low), abs=0.005)
