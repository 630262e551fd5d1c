"""The report of a training: one HTML file that loads nothing and runs no script, to read, print or send."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from riffle.data.images import Pictures
from riffle.pages import charts, class_curves, reliability
from riffle.pages.confusion import confusion_rows
from riffle.pages.mistakes import worst_mistakes
from riffle.pages.page import short, write_page
from riffle.profiling.latency import Latency
from riffle.training.calibration import BINS
from riffle.training.grad_cam import Heat
from riffle.training.metrics import Scores, wilson_interval
from riffle.training.recipe import Recipe
from riffle.training.run import Run
from riffle.weights.native import card_from, read_config

MOST_CLASSES = 30
"""Up to so many classes are shown as a confusion matrix, more as a table of the most confused pairs."""
MOST_PAIRS = 30


@dataclass(frozen=True)
class ReportFacts:
    """What a report tells about a finished run."""

    title: str
    run: Run
    scores: Scores
    """Of the best network on the held-out pictures."""
    pictures: Pictures
    """The held-out ones, in the order of the scores."""
    params: int
    cost: Mapping[str, int]
    """What :data:`riffle.weights.record.COST` names; empty where the network cannot be counted."""
    latency: Latency
    weights_bytes: int
    """Size of the file with the best network's weights."""
    train_counts: Sequence[int]
    """How many training pictures each class has, in the order of the classes."""
    unreadable: Sequence[str]
    """A line for each file that was left out because it could not be decoded."""
    environment: Mapping[str, str]
    """Hardware and versions, in the order to show them."""
    heats: Mapping[int, Sequence[Heat]] = field(default_factory=dict)
    """Of the worst mistakes' indices, where the network sees the class taken, and where the true one; see Grad-CAM."""
    command: str | None = None
    """What was typed to train, or None when it was not the command line."""


@dataclass(frozen=True, slots=True)
class _Tile:
    """A headline number."""

    label: str
    value: str
    unit: str
    note: str


def write_report(facts: ReportFacts, path: Path) -> None:
    """Write the report; an older one stays complete until the new one is.

    Raises:
        ValueError: the run's folder holds no best network.
        OSError: the disk is full or the file cannot be written.
    """
    write_page(path, "report.html.j2", _contents(facts))


def _contents(facts: ReportFacts) -> dict[str, Any]:
    """The template's variables."""
    run, scores = facts.run, facts.scores
    best_epoch = None if run.state.best is None else int(run.state.best["epoch"])
    is_small = len(scores.classes) <= MOST_CLASSES
    preprocessing = card_from(read_config(run.folder.best)).preprocessing
    place = shlex.quote(str(run.folder.path))
    return {
        "facts": facts,
        "setup": run.setup,
        "charts": charts.learning_curves(run.history, best_epoch),
        "canvas": charts,
        "best_epoch": best_epoch,
        "tiles": _tiles(facts),
        "matrix": confusion_rows(scores.confusion, scores.classes) if is_small else None,
        "has_short_names": max(len(name) for name in scores.classes) <= 3,
        "pairs": [] if is_small else _confused_pairs(scores),
        "classes": _per_class(scores, facts.train_counts),
        "calibration": reliability.calibration_of(scores),
        "diagram_canvas": reliability,
        "curves": class_curves.class_curves(scores),
        "curve_canvas": class_curves,
        "bins": BINS,
        "mistakes": worst_mistakes(scores, facts.pictures, facts.heats, preprocessing, data=run.setup.data),
        "mistake_count": int((scores.predicted != scores.labels).sum()),
        "recipe": _settings(run.recipe),
        "preprocessing": preprocessing,
        "commands": {
            "Classify a picture": f"riffle predict {place} picture.jpg",
            "Export it to a file that runs without PyTorch": f"riffle export {place} --to onnx",
        },
        "python": f"network = riffle.load({str(run.folder.path)!r})",
    }


def _tiles(facts: ReportFacts) -> list[_Tile]:
    scores, cost, latency = facts.scores, facts.cost, facts.latency
    total = len(scores.labels)
    low, high = wilson_interval(int((scores.predicted == scores.labels).sum()), total)
    decimals = next((digits for digits, limit in ((3, 1), (2, 10), (1, 100)) if latency.median < limit), 0)
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    certainty = f"of {total:,} held-out pictures; 95 % interval {low:.1f}–{high:.1f}"
    top1 = _Tile("Top-1", f"{scores.top1:.1f}", "%", certainty)
    counted = (
        [
            _Tile("MACs", *short(cost["macs"]), f"for a picture of {cost['size']} × {cost['size']}"),
            _Tile("Memory access", *short(cost["memory_access"]), "elements read and written for it"),
        ]
        if cost
        else []
    )
    among = "right class among the five likeliest"
    top5 = [] if scores.top5 is None else [_Tile("Top-5", f"{scores.top5:.1f}", "%", among)]
    return [
        top1,
        *top5,
        _Tile("Loss", f"{scores.loss:.3f}", "nats", "held-out cross-entropy"),
        _Tile("Parameters", *short(facts.params), f"{facts.params:,}"),
        *counted,
        _Tile("File size", *short(facts.weights_bytes, "B"), f"{facts.weights_bytes:,} bytes of weights"),
        _Tile(
            "Latency",
            f"{latency.median:.{decimals}f}",
            "ms",
            f"median of {latency.rounds:,} calls, {threads}; "
            f"quartiles {latency.lower:.{decimals}f}–{latency.upper:.{decimals}f}",
        ),
    ]


def _confused_pairs(scores: Scores) -> list[dict[str, Any]]:
    """The commonest mistakes; of equally common ones first that which takes more of its class."""
    totals = scores.confusion.sum(axis=1)
    rows, columns = np.nonzero(scores.confusion - np.diag(scores.confusion.diagonal()))
    counts = scores.confusion[rows, columns]
    order = np.lexsort((-counts / totals[rows], -counts))[:MOST_PAIRS]
    return [
        {
            "truth": scores.classes[rows[index]],
            "predicted": scores.classes[columns[index]],
            "count": int(counts[index]),
            "total": int(totals[rows[index]]),
            "share": 100 * counts[index] / totals[rows[index]],
        }
        for index in order
    ]


def _per_class(scores: Scores, train_counts: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each class, the worst first and those without held-out pictures last."""
    wrong = scores.confusion - np.diag(scores.confusion.diagonal())
    rows = []
    for label, (name, accuracy, train) in enumerate(zip(scores.classes, scores.per_class, train_counts, strict=True)):
        worst = int(wrong[label].argmax())
        rows.append(
            {
                "name": name,
                "accuracy": accuracy,
                "held_out": int(scores.confusion[label].sum()),
                "train": int(train),
                "taken_for": scores.classes[worst] if wrong[label, worst] else None,
                "times": int(wrong[label, worst]),
            }
        )
    return sorted(rows, key=lambda row: math.inf if row["accuracy"] is None else row["accuracy"])


def _settings(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every setting."""
    values = recipe.to_dict()
    return [(field.name, _plain(values[field.name]), field.metadata["help"]) for field in fields(recipe)]


def _plain(value: Any) -> str:
    """As TOML has it, without quotes."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
