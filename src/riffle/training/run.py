"""A run's folder: the recipe, the log, the best weights and what is needed to go on."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout
from torch import nn

from riffle.data.images import Pictures, Split, read
from riffle.files import remove_drafts, write_text
from riffle.training.checkpoint import State, read_state
from riffle.training.recipe import Recipe
from riffle.weights import native

RECIPE = "recipe.toml"


@dataclass(frozen=True)
class Setup:
    """What identifies a run: the same set-up in the same folder goes on, another one is refused."""

    data: str
    model: str
    weights: str | None
    recipe: Recipe
    fingerprint: str
    """Of the data."""
    threads: int = 1
    """Computing threads: their number decides the order of sums, so a run keeps it."""
    from_python: bool = False
    """The network was handed over as an object: its weights at the start have no name."""
    teacher: str | None = None
    """What the network learns from besides the pictures."""

    def to_dict(self) -> dict[str, Any]:
        """As ``recipe.toml`` has it."""
        run = {"data": self.data, "model": self.model, "fingerprint": self.fingerprint, "threads": self.threads}
        if self.weights is not None:
            run["weights"] = self.weights
        if self.teacher is not None:
            run["teacher"] = self.teacher
        if self.from_python:
            run["from_python"] = True
        return {"run": run, "recipe": self.recipe.to_dict()}

    @classmethod
    def read(cls, folder: Path) -> "Setup":
        """The set-up of the run in a folder; raises ``ValueError`` where there is none."""
        path = folder / RECIPE
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(weights=table["run"].pop("weights", None), recipe=Recipe(**table["recipe"]), **table["run"])
        except FileNotFoundError:
            raise ValueError(f"{folder} is not a run: it has no {RECIPE}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged or not of this version: {error}") from error

    def differences(self, other: "Setup") -> list[str]:
        """The settings in which two set-ups differ, each as ``name: own, not other``.

        How many threads there are, and in what form the network was handed over, makes no other run.
        """
        mine = {**self.to_dict()["run"], **self.recipe.to_dict()}
        theirs = {**other.to_dict()["run"], **other.recipe.to_dict()}
        names = dict.fromkeys([*mine, *theirs])
        return [
            f"{name} {mine.get(name)}, not {theirs.get(name)}"
            for name in names
            if name not in ("threads", "from_python") and mine.get(name) != theirs.get(name)
        ]


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Network, optimizer and state of the last save."""
        return self.path / "last" / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """The best network so far, as :func:`riffle.load` reads it."""
        return self.path / "best"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    def begin(self, setup: Setup) -> Setup:
        """Claim the folder for a run; returns the set-up to use, which is the stored one when the run goes on.

        Raises:
            ValueError: the folder holds another run, or other files.
        """
        if self.checkpoint.exists():  # without one there is nothing to lose, and the settings may still be changed
            stored = Setup.read(self.path)
            if differences := stored.differences(setup):
                raise ValueError(f"{self.path} holds another run ({'; '.join(differences)}): choose another folder")
            return stored
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file: choose another folder")
        is_run = (self.path / RECIPE).exists()
        if not is_run and self.path.exists() and any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise ValueError(f"{self.path} exists and is not a run: choose another folder")
        write_text(self.path / RECIPE, tomli_w.dumps(setup.to_dict()))
        return setup

    def log(self, state: State) -> None:
        """Bring ``metrics.jsonl`` in line with the state: one line an epoch."""
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in state.history))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out, and clear away what a killed one left half written.

        Raises:
            ValueError: another process is in.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"another process is training in {self.path}") from None
        try:
            remove_drafts(self.path)
            remove_drafts(self.checkpoint.parent)
            yield
        finally:
            lock.release()


@dataclass
class Run:
    """A training that has ended, or one that was opened again."""

    folder: RunFolder
    setup: Setup
    state: State

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """A run from its folder; raises ``ValueError`` where there is none or it saved nothing yet."""
        files = RunFolder(Path(folder))
        setup = Setup.read(files.path)
        if not files.checkpoint.exists() or not files.best.exists():
            raise ValueError(f"{folder} has no finished epoch yet")
        return cls(files, setup, read_state(files.checkpoint))

    @property
    def recipe(self) -> Recipe:
        """The settings it was trained with."""
        return self.setup.recipe

    @cached_property
    def model(self) -> nn.Module:
        """The best network, in evaluation mode."""
        return native.load_folder(self.folder.best)

    @cached_property
    def split(self) -> Split:
        """The pictures, read anew from where they were.

        Raises:
            ValueError: they are gone, or they have changed: then pictures that were learned from could count as held
                out.
        """
        split = read(self.setup.data, validation=self.recipe.validation, seed=self.recipe.seed)
        if split.fingerprint != self.setup.fingerprint:
            raise ValueError(f"the pictures in {self.setup.data} have changed since {self.folder.path} was trained")
        return split

    @property
    def validation(self) -> Pictures:
        """The held-out pictures."""
        return self.split.validation

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry for each epoch."""
        return self.state.history
