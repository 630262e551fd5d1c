import numpy as np
import pytest
from sklearn import metrics

from riffle.scenes.metrics import Accuracy, spread

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 4, 300)
PREDICTED = np.where(RNG.random(300) < 0.7, TRUTH, RNG.integers(0, 4, 300))


def test_as_scikit_learn_has_it():
    ours = Accuracy.of(TRUTH, PREDICTED, 5)
    assert ours.oa == pytest.approx(100 * metrics.accuracy_score(TRUTH, PREDICTED))
    assert ours.aa == pytest.approx(100 * metrics.balanced_accuracy_score(TRUTH, PREDICTED))
    assert ours.kappa == pytest.approx(100 * metrics.cohen_kappa_score(TRUTH, PREDICTED))
    assert np.array_equal(ours.confusion[:4, :4], metrics.confusion_matrix(TRUTH, PREDICTED))
    assert ours.per_class[4] is None
    assert ours.judged == 4


def test_one_class_and_perfect_agreement():
    assert Accuracy.of(TRUTH * 0, TRUTH * 0, 2).kappa == 100.0
    assert Accuracy.of(TRUTH, TRUTH, 4).to_dict() | {"confusion": 0} == {
        "oa": 100.0,
        "aa": 100.0,
        "kappa": pytest.approx(100.0),
        "classes_judged": 4,
        "per_class": [100.0] * 4,
        "confusion": 0,
    }


def test_spread():
    assert spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert spread([5.0]) == (5.0, 0.0)
