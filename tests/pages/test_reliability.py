import numpy as np
import pytest

from riffle.pages.charts import LEFT, TOP
from riffle.pages.reliability import COUNTS, GAP, SIDE, calibration_of
from riffle.training.metrics import Scores, wilson_interval


def judged(sure: list[float], right: list[bool]) -> Scores:
    shares = np.array(sure, np.float32)
    return Scores(np.stack([shares, 1 - shares], axis=1), np.where(right, 0, 1), ("a", "b"))


def test_bars_by_hand():
    (diagram,) = calibration_of(judged([0.9, 0.9, 0.62], [True, False, True])).diagrams
    low, high = diagram.bars
    assert low.x == pytest.approx(LEFT + SIDE * 9 / 15 + 0.5)
    assert high.width == pytest.approx(SIDE / 15 - 1)
    assert (low.accuracy, high.accuracy) == pytest.approx((TOP, TOP + SIDE / 2))
    assert (low.confidence, high.confidence) == pytest.approx((TOP + 0.38 * SIDE, TOP + 0.1 * SIDE), abs=1e-4)
    assert (low.count, high.count) == pytest.approx((TOP + SIDE + GAP + COUNTS / 2, TOP + SIDE + GAP))
    bottom, top = wilson_interval(1, 2)
    assert (high.highest, high.lowest) == pytest.approx((TOP + SIDE * (1 - top / 100), TOP + SIDE * (1 - bottom / 100)))
    assert diagram.error == pytest.approx((2 * 0.4 + 0.38) / 3 * 100, abs=1e-4)
    assert "2 pictures at 90.0 % on average, 50.0 % right" in diagram.description
    assert low.text == "1 picture at 62.0 % on average, 100.0 % right"


def test_a_second_diagram_where_a_temperature_was_judged():
    told = calibration_of(judged([0.99] * 200, [True] * 150 + [False] * 50))
    before, after = told.diagrams
    assert before.error == pytest.approx(24, abs=0.01)
    assert after.error < 5
    assert 1 < told.by_chance < 5
    assert told.confidence == pytest.approx(99)
    assert told.temperature == pytest.approx(np.log(99) / np.log(3), rel=1e-2)
    assert calibration_of(judged([0.99] * 9, [True] * 9)).temperature is None
