"""What is wrong with a folder of pictures before anything is learned from it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from riffle.data.images import VALIDATION
from riffle.data.likeness import Likeness, likeness, near_pairs, same_content
from riffle.hardware import cores
from riffle.preprocessing import SUFFIXES, UnreadablePicture

SKEWED = 10.0
"""Pictures of the largest class for one of the smallest, from which the balance is worth a word."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that can be decoded."""

    path: str
    """From the folder on."""
    part: str
    """``train``, ``val``, or empty where the folder is not split."""
    label: str
    """Its class: the name of the folder that it lies in."""
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that show the same picture."""

    first: Entry
    second: Entry
    is_exact: bool
    """Equal byte for byte; otherwise re-encoded or resized."""

    @property
    def is_leak(self) -> bool:
        """Whether one is learned from and the other judged on."""
        return self.first.part != self.second.part

    @property
    def is_conflict(self) -> bool:
        """Whether they are in different classes."""
        return self.first.label != self.second.label


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a folder."""

    folder: str
    entries: tuple[Entry, ...]
    unreadable: tuple[str, ...]
    """A line for each file that cannot be decoded."""
    ignored: dict[str, int]
    """Files whose ending is no picture's, by ending."""
    pairs: tuple[Pair, ...]

    @property
    def leaks(self) -> list[Pair]:
        """The same picture on both sides of the split."""
        return [pair for pair in self.pairs if pair.is_leak]

    @property
    def conflicts(self) -> list[Pair]:
        """The same picture in two classes."""
        return [pair for pair in self.pairs if pair.is_conflict]

    def counts(self) -> dict[str, Counter[str]]:
        """How many pictures each class has, by part."""
        found: dict[str, Counter[str]] = {}
        for entry in self.entries:
            found.setdefault(entry.part, Counter())[entry.label] += 1
        return found

    def balance(self) -> float:
        """Pictures of the largest class for one of the smallest, among those that are learned from."""
        counts = self.counts()
        learned = counts.get("train") or counts.get("") or Counter({"": 1})
        return max(learned.values()) / min(learned.values())

    def shorter_sides(self) -> dict[str, int]:
        """Smallest, median and largest of the pictures' shorter sides, in pixels."""
        sides = [min(entry.likeness.size) for entry in self.entries] or [0]
        return {"smallest": min(sides), "median": int(np.median(sides)), "largest": max(sides)}

    def problems(self) -> list[str]:
        """What is worth doing something about, the worst first; empty for a clean folder."""
        found = []
        if self.leaks:
            found.append(f"{len(self.leaks)} pictures are on both sides of the split: the accuracy would be flattered")
        if self.conflicts:
            found.append(f"{len(self.conflicts)} pairs show the same picture in two classes")
        if self.unreadable:
            found.append(f"{len(self.unreadable)} files cannot be decoded")
        if within := len(self.pairs) - len({id(pair) for pair in (*self.leaks, *self.conflicts)}):
            found.append(f"{within} pairs show the same picture twice in one class")
        if self.balance() >= SKEWED:
            found.append(f"the largest class has {self.balance():.0f} times as many pictures as the smallest")
        return found


def audit(data: str | Path, *, over: Callable[[Sequence[Path]], Iterable[Path]] | None = None) -> Audit:
    """Look through a folder as ``riffle train`` takes it: ``class/picture``, or ``train`` and ``val`` with classes.

    Every file is decoded once, at full size.

    Args:
        data: the folder.
        over: wraps the list of files that is gone through, to show a bar.

    Raises:
        ValueError: no such folder, or no pictures in it.
    """
    folder = Path(data)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give a folder of pictures")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise ValueError(f"{folder} holds no pictures: expected {folder}/CLASS/PICTURE.jpg")
    ignored = Counter(path.suffix.lower() or path.name for path in files if path.suffix.lower() not in SUFFIXES)
    is_split = any((folder / name).is_dir() for name in ("train", *VALIDATION))
    entries, unreadable = [], []
    with ThreadPoolExecutor(cores()) as pool:
        shown = over(pictures) if over is not None else pictures
        for path, seen in zip(shown, pool.map(_likeness_or_reason, pictures), strict=True):
            if isinstance(seen, str):
                unreadable.append(seen)
            else:
                entries.append(_entry(path.relative_to(folder), seen, is_split=is_split))
    return Audit(str(folder), tuple(entries), tuple(unreadable), dict(ignored), tuple(_pairs(entries)))


def _likeness_or_reason(path: Path) -> Likeness | str:
    try:
        return likeness(path)
    except (UnreadablePicture, OSError) as error:
        reason = str(error).removeprefix("picture: ")
        return f"{path}: {reason}"


def _entry(path: Path, seen: Likeness, *, is_split: bool) -> Entry:
    parts = path.parts[:-1]
    part = ("val" if parts[0] in VALIDATION else parts[0]) if is_split and parts else ""
    label = parts[1 if part and len(parts) > 1 else 0] if parts else ""
    return Entry(str(path), part, label, seen)


def _pairs(entries: Sequence[Entry]) -> list[Pair]:
    """Of equal files, each with the first one on the other side or, where there is none, the first of all."""
    likenesses = [entry.likeness for entry in entries]
    pairs = []
    for group in same_content(likenesses):
        for place, index in enumerate(group[1:], start=1):
            before = group[:place]
            partner = next((i for i in before if entries[i].part != entries[index].part), before[0])
            pairs.append(Pair(entries[partner], entries[index], True))
    pairs += [Pair(entries[first], entries[second], False) for first, second in near_pairs(likenesses)]
    return pairs
