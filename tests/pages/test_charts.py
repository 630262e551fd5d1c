from itertools import pairwise

import pytest

from riffle.pages.charts import BOTTOM, LEFT, RIGHT, TOP, Chart, learning_curves


def losses(*values: float) -> Chart:
    """The chart of a loss."""
    return learning_curves([{"epoch": epoch, "loss": value} for epoch, value in enumerate(values, 1)], None)[0]


@pytest.mark.parametrize(
    "values",
    [(0.0,), (1.0,), (-2.0, -2.0), (0.3, 0.1), (99.7, 98.0), (1e-9, 2e-9), (24.8, 0.6), (1e6, 1e-6), (0.0, 1e5)],
)
def test_everything_lies_inside_the_axes(values: tuple[float, ...]) -> None:
    chart = losses(*values)
    for mark in chart.lines[0].marks:
        assert LEFT <= mark.x <= RIGHT
        assert TOP - 1e-6 <= mark.y <= BOTTOM + 1e-6
    heights = [tick.y for tick in chart.y_ticks]
    assert heights[0] == pytest.approx(BOTTOM)
    assert heights[-1] == pytest.approx(TOP)
    assert all(low > high for low, high in pairwise(heights))
    assert 2 <= len(heights) <= 14
    assert len({tick.text for tick in chart.y_ticks}) == len(heights)


def test_linear_scale_worked_out_by_hand() -> None:
    chart = losses(10.0, 60.0, 40.0)
    assert [tick.text for tick in chart.y_ticks] == ["10", "20", "30", "40", "50", "60"]
    assert [mark.y for mark in chart.lines[0].marks] == pytest.approx([186, 12, 81.6])
    assert [mark.x for mark in chart.lines[0].marks] == pytest.approx([54, 199, 344])
    assert chart.lines[0].points == "54.0,186.0 199.0,12.0 344.0,81.6"


def test_a_wide_range_is_logarithmic_and_says_so() -> None:
    chart = losses(100.0, 10.0, 1.0)
    assert chart.title == "Loss (logarithmic scale)"
    assert [tick.text for tick in chart.y_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [mark.y for mark in chart.lines[0].marks] == pytest.approx([12, 99, 186])
    assert losses(10.0, 1.0).title == "Loss"


def test_values_that_are_not_finite_are_left_out() -> None:
    chart = losses(3.0, float("nan"), float("inf"), 2.0)
    assert [mark.text for mark in chart.lines[0].marks] == ["held-out, epoch 1: 3", "held-out, epoch 4: 2"]
    assert learning_curves([{"epoch": 1, "loss": float("nan")}], 1) == []


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [
        (1, ["1"]),
        (4, ["1", "2", "3", "4"]),
        (30, ["1", "5", "10", "15", "20", "25", "30"]),
        (97, ["1", "20", "40", "60", "80", "97"]),
        (1000, ["1", "200", "400", "600", "800", "1000"]),
    ],
)
def test_epochs_have_whole_ticks(epochs: int, ticks: list[str]) -> None:
    assert [tick.text for tick in losses(*[1.0] * epochs).x_ticks] == ticks


def test_long_runs_have_no_dots_and_best_has_a_place() -> None:
    history = [{"epoch": epoch, "lr": 0.1 / epoch} for epoch in range(1, 101)]
    (chart,) = learning_curves(history, 100)
    assert not chart.has_dots
    assert chart.best_x == pytest.approx(RIGHT - 6)
    assert [mark.text for mark in chart.best] == ["0.001"]
    (chart,) = learning_curves(history[:3], None)
    assert chart.has_dots
    assert chart.best_x is None
    assert chart.best == []
