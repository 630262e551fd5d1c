import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from riffle.pages.class_curves import SIDE, class_curves
from riffle.training.metrics import Scores


def scores_of(shares: list[float], labels: list[int]) -> Scores:
    likely = np.array(shares, np.float32)
    return Scores(np.stack([1 - likely, likely], axis=1), np.array(labels), ("no", "yes"))


@pytest.mark.parametrize(
    ("shares", "labels", "percent", "points"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 100, "0,0 50,0 50,0 100,0"),
        # found at ranks 1 and 3: 1/2 * 1 + 1/2 * 2/3
        ([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 250 / 3, "0,0 50,0 50,33.33 100,33.33"),
        # last of four: 1 * 1/4
        ([0.9, 0.8, 0.7, 0.1], [0, 0, 0, 1], 25, "0,75 100,75"),
        # two alike, one of them right: 1 * 1/2
        ([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0], 50, "0,50 100,50"),
    ],
)
def test_precision_over_recall_by_hand(shares, labels, percent, points):
    scores = scores_of(shares, labels)
    assert scores.average_precision[1] == pytest.approx(percent)
    curve = next(curve for curve in class_curves(scores) if curve.name == "yes")
    assert curve.points == points
    assert curve.chance == SIDE * (1 - sum(labels) / 4)
    assert curve.count == sum(labels)


def test_average_precision_is_scikit_learns_and_the_worst_class_comes_first():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(40), 2000).astype(np.float32)
    labels = np.where(rng.random(2000) < 0.5, shares.argmax(1), rng.integers(0, 39, 2000))  # some have none by chance
    labels[labels == 39] = 0
    scores = Scores(shares, labels, tuple(f"class {label}" for label in range(40)))
    expected = [100 * average_precision_score(labels == label, shares[:, label]) for label in range(39)]
    assert scores.average_precision[:39] == pytest.approx(expected)
    assert scores.average_precision[39] is None
    curves = class_curves(scores)
    assert len(curves) == 30
    assert [curve.average_precision for curve in curves] == pytest.approx(sorted(expected)[:30])
    for curve in curves:
        places = np.array([point.split(",") for point in curve.points.split()], float)
        assert ((places >= 0) & (places <= SIDE)).all()
        assert (np.diff(places[:, 0]) >= 0).all()
        assert len(places) <= 200
