"""Line charts as geometry: the page's template draws them as inline SVG, so its style sheet gives colours and fonts.

Drawn by hand rather than by matplotlib: the text stays text in the reader's own fonts (Chinese too), the lines take
the page's colours in light and dark, and no identifiers can clash between the charts of one page.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 360, 220
"""Of a chart, in the units of its SVG."""
LEFT, RIGHT, TOP, BOTTOM = 48, 350, 12, 186
"""Edges of the plotted area."""
_WIDE_RANGE = 20.0  # largest over smallest value from which a logarithmic scale shows more
_MANY_EPOCHS = 80  # dots for more would run into each other


@dataclass(frozen=True, slots=True)
class Mark:
    """A value or a tick: where it is along its axis or axes, and what it says."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity over the epochs."""

    name: str
    style: str
    """Its class in the page's style sheet."""
    marks: list[Mark]

    @property
    def points(self) -> str:
        """As ``<polyline>`` takes them."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that a template needs to draw a chart."""

    title: str
    lines: list[Line]
    x_ticks: list[Mark]
    y_ticks: list[Mark]
    best_x: float | None
    """Where the best epoch is."""
    best: list[Mark]
    """The lines' values there."""
    description: str
    """For readers who cannot see it."""
    has_dots: bool


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values to positions."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def learning_curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> list[Chart]:
    """Charts of loss, top-1 and learning rate from a run's history; none from an empty one."""
    quantities = (
        ("Loss", {"train_loss": ("training", "train"), "loss": ("held-out", "held")}),
        ("Top-1, %", {"top1": ("held-out", "held")}),
        ("Learning rate", {"lr": ("at the end of the epoch", "rate")}),
    )
    charts = (_chart(title, lines, history, best_epoch) for title, lines in quantities)
    return [chart for chart in charts if chart is not None]


def _chart(
    title: str, lines: Mapping[str, tuple[str, str]], history: Sequence[Mapping[str, Any]], best_epoch: int | None
) -> Chart | None:
    series = {
        key: [(entry["epoch"], float(entry[key])) for entry in history if math.isfinite(entry.get(key, math.nan))]
        for key in lines
    }
    values = [value for pairs in series.values() for _, value in pairs]
    if not values:
        return None
    is_log = title == "Loss" and min(values) > 0 and max(values) > _WIDE_RANGE * min(values)
    ticks = _log_ticks(min(values), max(values)) if is_log else _linear_ticks(min(values), max(values), most=6)
    epochs = [entry["epoch"] for entry in history]
    across = _Scale(min(epochs), max(epochs), LEFT + 6, RIGHT - 6)
    up = _Scale(ticks[0], ticks[-1], BOTTOM, TOP, is_log)
    drawn = [
        Line(name, style, [Mark(across(e), up(v), f"{name}, epoch {e}: {_number(v)}") for e, v in series[key]])
        for key, (name, style) in lines.items()
        if series[key]
    ]
    at_best = [Mark(across(e), up(v), _number(v)) for pairs in series.values() for e, v in pairs if e == best_epoch]
    return Chart(
        title=title + (" (logarithmic scale)" if is_log else ""),
        lines=drawn,
        x_ticks=[Mark(across(tick), BOTTOM, f"{tick:g}") for tick in _epoch_ticks(epochs)],
        y_ticks=[Mark(LEFT, up(tick), _number(tick)) for tick in ticks],
        best_x=None if best_epoch is None else across(best_epoch),
        best=at_best,
        description=_description(title, lines, series, best_epoch),
        has_dots=len(epochs) <= _MANY_EPOCHS,
    )


def _description(
    title: str,
    lines: Mapping[str, tuple[str, str]],
    series: Mapping[str, Sequence[tuple[int, float]]],
    best_epoch: int | None,
) -> str:
    parts = [
        f"{lines[key][0]} from {_number(pairs[0][1])} in epoch {pairs[0][0]} to {_number(pairs[-1][1])} "
        f"in epoch {pairs[-1][0]}"
        for key, pairs in series.items()
        if pairs
    ]
    best = "" if best_epoch is None else f". Best epoch: {best_epoch}"
    return f"{title} by epoch: {'; '.join(parts)}{best}."


def _number(value: float) -> str:
    return f"{value:.4g}"


def _linear_ticks(low: float, high: float, *, most: int) -> list[float]:
    """At most so many round numbers, evenly spaced, the first not above ``low`` and the last not below ``high``."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = (low - abs(low) / 10, high) if low else (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2 * power, 2.5 * power, 5 * power, 10 * power, 20 * power, 25 * power):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten (powers alone where that is many), around ``low`` to ``high``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    first = max(index for index, tick in enumerate(ticks) if tick <= low)
    last = min(index for index, tick in enumerate(ticks) if tick >= high)
    return ticks[first : last + 1]


def _epoch_ticks(epochs: Sequence[int]) -> list[int]:
    """Every epoch of a short run; of a longer one the first, round ones and, where there is room, the last."""
    low, high = min(epochs), max(epochs)
    if high - low < 15:
        return list(range(low, high + 1))
    steps = (factor * 10**power for power in itertools.count(1) for factor in (0.5, 1, 2))
    step = int(next(step for step in steps if (high - low) / step <= 8))
    ticks = [low, *(tick for tick in range(step, high + 1, step) if tick - low >= 0.7 * step)]
    return ticks if high - ticks[-1] < 0.7 * step else [*ticks, high]
