"""Runs side by side: what they reached, in what they differ, and whether the difference is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from riffle.training.checkpoint import read_state
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter
from riffle.training.run import Run, RunFolder, Setup
from riffle.verbs.evaluate import evaluate


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as a line of a list."""

    folder: Path
    setup: Setup
    epochs: int
    """Done so far."""
    best: dict[str, Any] | None
    """The best epoch's entry of the history; None before the first has ended."""
    finished: bool


def runs_below(folder: str | Path) -> list[Listed]:
    """The runs in a folder and the folders in it, the best first; those without an epoch last.

    Raises:
        ValueError: no such folder, or no run in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"{folder} is not a folder")
    found = []
    for recipe in sorted(root.rglob("recipe.toml")):
        files = RunFolder(recipe.parent)
        try:
            setup = Setup.read(files.path)
        except ValueError:  # somebody else's recipe.toml
            continue
        if files.checkpoint.exists():
            state = read_state(files.checkpoint)
            found.append(Listed(files.path, setup, state.epoch, state.best, state.finished))
        else:
            found.append(Listed(files.path, setup, 0, None, False))
    if not found:
        raise ValueError(f"there is no run in {folder}")
    return sorted(found, key=lambda run: -run.best["top1"] if run.best else 1.0)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run judged on the same pictures as the first one."""

    name: str
    scores: Scores
    differences: list[str]
    """Settings that are other than the first run's."""
    only_first: int
    """Pictures that only the first one judges right."""
    only_this: int
    """Pictures that only this one judges right."""

    @property
    def chance(self) -> float:
        """How often two equally good networks would differ at least so much: McNemar's test, exact.

        McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions, Psychometrika 12, 1947.
        """
        decided = self.only_first + self.only_this
        return float(binomtest(self.only_this, decided).pvalue) if decided else 1.0


def compare(
    sources: Sequence[str | Path], *, data: str | Path | None = None, reporter: Reporter | None = None
) -> list[Compared]:
    """Judge runs on the same pictures, and compare each with the first.

    Args:
        sources: runs' folders.
        data: pictures to judge on; by default the runs' held-out ones, which must then be the same.
        reporter: shows bars.

    Raises:
        ValueError: fewer than two runs, no run, or held-out pictures that are not the same.
    """
    if len(sources) < 2:
        raise ValueError("give at least two runs to compare")
    runs = [Run.open(source) for source in sources]
    if data is None:
        held_out = {(r.setup.fingerprint, r.recipe.seed, r.recipe.validation) for r in runs}
        if len(held_out) > 1:
            raise ValueError("the runs hold out different pictures: give others with --data")
    judged = [evaluate(source, data=data, reporter=reporter)[0] for source in sources]
    first = judged[0].predicted == judged[0].labels
    found = []
    for source, run, scores in zip(sources, runs, judged, strict=True):
        right = scores.predicted == scores.labels
        differences = [] if run is runs[0] else run.setup.differences(runs[0].setup)
        only_first, only_this = int(np.sum(first & ~right)), int(np.sum(right & ~first))
        found.append(Compared(str(source), scores, differences, only_first, only_this))
    return found
