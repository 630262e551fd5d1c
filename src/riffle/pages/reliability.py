"""Reliability diagrams as geometry, and what the report tells about calibration."""

from dataclasses import dataclass

from riffle.pages.charts import LEFT, TOP
from riffle.training.calibration import Bin, bins_of, calibration_error, error_by_chance
from riffle.training.metrics import Scores, wilson_interval
from riffle.training.temperature import cross_fitted, fit_temperature

SIDE = 190
"""Of the square in which accuracy stands over confidence, in the units of the SVG."""
COUNTS = 32
"""Height of the strip below with the number of pictures."""
GAP = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin, in the units of the SVG."""

    x: float
    width: float
    accuracy: float
    confidence: float
    highest: float
    """Upper end of the accuracy's 95 % interval."""
    lowest: float
    count: float
    """Top of the bar in the strip of counts."""
    text: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """Accuracy over confidence."""

    title: str
    bars: list[Bar]
    error: float
    """Expected calibration error in percent."""
    description: str
    """For readers who cannot see it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a report tells."""

    diagrams: list[Diagram]
    """As judged and, where a temperature could be fitted and judged, with it."""
    by_chance: float
    """Error in percent of a perfectly calibrated network on so many pictures."""
    confidence: float
    """Mean, in percent."""
    temperature: float | None


def calibration_of(scores: Scores) -> Calibration:
    """Judge the probabilities as they are, and with a temperature."""
    temperature = fit_temperature(scores)
    mended = None if temperature is None else cross_fitted(scores)
    return Calibration(
        diagrams=[
            _diagram("As trained", scores),
            *([] if mended is None else [_diagram("With a temperature", mended)]),
        ],
        by_chance=error_by_chance(scores if mended is None else mended),
        confidence=100.0 * float(scores.probabilities.max(axis=1).mean()),
        temperature=temperature,
    )


def _diagram(title: str, scores: Scores) -> Diagram:
    bins = bins_of(scores)
    most = max(one.count for one in bins)
    error = calibration_error(scores)
    told = "; ".join(_told(one) for one in bins)
    return Diagram(title, [_bar(one, most) for one in bins], error, f"Accuracy by confidence: {told}.")


def _bar(one: Bin, most: int) -> Bar:
    low, high = wilson_interval(one.right, one.count)
    return Bar(
        x=LEFT + SIDE * one.low + 0.5,
        width=SIDE * (one.high - one.low) - 1,
        accuracy=_up(one.accuracy),
        confidence=_up(one.confidence),
        highest=_up(high / 100),
        lowest=_up(low / 100),
        count=TOP + SIDE + GAP + COUNTS * (1 - one.count / most),
        text=_told(one),
    )


def _told(one: Bin) -> str:
    pictures = f"{one.count} picture{'s' * (one.count != 1)}"
    return f"{pictures} at {100 * one.confidence:.1f} % on average, {100 * one.accuracy:.1f} % right"


def _up(share: float) -> float:
    return TOP + SIDE * (1 - share)
