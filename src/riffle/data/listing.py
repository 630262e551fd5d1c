"""What a source of pictures says it has, before any picture is decoded."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

TRAIN = "train"
VALIDATION = ("val", "valid", "validation", "test")
"""Names of the part that a network is judged on; the first that there is counts."""


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures that a source keeps together, and the name of each one's class."""

    table: "Dataset"
    """A row for each: ``name`` and, where that is not the path of its file, what :class:`~riffle.data.images.Pictures`
    reads it from."""
    labels: list[str]
    rows: list[int] | None = None
    """Those that count, with a label each; None for all. Selecting them last leaves large tables where they lie."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All that a source has."""

    place: str
    """How to call the source in a message."""
    expected: str
    """What it should look like, for a message that says it does not."""
    parts: Mapping[str, Part]
    """By name: ``train`` and those of ``VALIDATION``; one without a name where the source is not split."""
    classes: tuple[str, ...]
    """Of what is learned from, in the order of the labels."""
    ignored: Counter[str] = field(default_factory=Counter)
    """How many entries count for nothing, by what is wrong with them."""

    @property
    def learned(self) -> Part:
        """What is learned from.

        Raises:
            ValueError: there is nothing, or only something to judge on.
        """
        for name in (TRAIN, ""):
            if name in self.parts:
                return self.parts[name]
        raise ValueError(
            f"{self.place} has {', '.join(self.parts)} but no train: nothing to learn from"
            if self.parts
            else self.emptiness
        )

    @property
    def held_out(self) -> Part | None:
        """What is judged on; None where the source does not say."""
        return next((self.parts[name] for name in VALIDATION if name in self.parts), None)

    @property
    def judged(self) -> Part:
        """What a trained network is judged on: what is held out, or all where the source is not split.

        Raises:
            ValueError: there is nothing, or only something to learn from.
        """
        part = self.held_out or self.parts.get("")
        if part is None:
            raise ValueError(
                f"{self.place} has {', '.join(self.parts)} but no val: nothing to judge on"
                if self.parts
                else self.emptiness
            )
        return part

    @property
    def emptiness(self) -> str:
        """The message where there is nothing."""
        return f"{self.place} holds no pictures that can be read: expected {self.expected}"


def named_files(paths: Sequence[str], labels: Sequence[str]) -> Part:
    """A part whose pictures are files."""
    import datasets  # seconds to import, so only where pictures are read

    names = datasets.Features({"name": datasets.Value("string")})
    return Part(datasets.Dataset.from_dict({"name": list(paths)}, features=names), list(labels))


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes in alphabetical order, or by their size where all are whole numbers."""
    found = set(names)
    if all(name.lstrip("-").isdecimal() for name in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))
