"""What is wrong with a set of pictures before anything is learned from it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from riffle.data.images import Pictures
from riffle.data.likeness import Likeness, likeness, near_pairs, same_content
from riffle.data.listing import TRAIN, VALIDATION
from riffle.data.readable import reason_of
from riffle.data.sources import is_folder_of_pictures, listed
from riffle.hardware import cores
from riffle.preprocessing import SUFFIXES, UnreadablePicture

SKEWED = 10.0
"""Pictures of the largest class for one of the smallest, from which the balance is worth a word."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that can be decoded."""

    path: str
    """From the folder on, or as the source calls it."""
    part: str
    """``train``, ``val``, or empty where the folder is not split."""
    label: str
    """Its class."""
    likeness: Likeness
    read: Callable[[], str | bytes]
    """Where it is, or its encoded content where it is no file of its own."""


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
    """What was found in a set of pictures."""

    source: str
    """What was looked through."""
    entries: tuple[Entry, ...]
    unreadable: tuple[str, ...]
    """A line for each picture that cannot be decoded."""
    ignored: dict[str, int]
    """How many entries count for nothing, by what is wrong with them: an ending that is no picture's, no label."""
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


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A picture that is looked at: all of an entry that is known beforehand."""

    name: str
    path: str
    part: str
    label: str
    read: Callable[[], str | bytes]

    def look(self) -> Entry | str:
        """The entry, or a line that tells why there is none."""
        content: str | bytes = b""
        try:
            content = self.read()
            return Entry(self.path, self.part, self.label, likeness(content), self.read)
        except (UnreadablePicture, OSError) as error:
            return f"{self.name}: {reason_of(error, b'')}"


def audit(data: str | Path, *, over: Callable[[Sequence[object]], Iterable[object]] | None = None) -> Audit:
    """Look through pictures as ``riffle train`` takes them: a folder, a manifest, shards.

    Every picture is decoded once, at full size.

    Args:
        data: the source.
        over: wraps the list of what is gone through, to show a bar.

    Raises:
        ValueError: no such source, or no pictures in it.
    """
    candidates, ignored = _in_folder(Path(data)) if is_folder_of_pictures(data) else _in_source(data)
    if not candidates:
        raise ValueError(f"{data} holds no pictures")
    entries, unreadable = [], []
    with ThreadPoolExecutor(cores()) as pool:
        shown = over(candidates) if over is not None else candidates
        for _, seen in zip(shown, pool.map(_Candidate.look, candidates), strict=True):
            if isinstance(seen, str):
                unreadable.append(seen)
            else:
                entries.append(seen)
    return Audit(str(data), tuple(entries), tuple(unreadable), dict(ignored), tuple(_pairs(entries)))


def _in_folder(folder: Path) -> tuple[list[_Candidate], Counter[str]]:
    """All pictures below a folder, also those that lie where no class is expected."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    ignored = Counter(path.suffix.lower() or path.name for path in files if path.suffix.lower() not in SUFFIXES)
    is_split = any((folder / name).is_dir() for name in (TRAIN, *VALIDATION))
    found = []
    for path in files:
        if path.suffix.lower() in SUFFIXES:
            below = path.relative_to(folder)
            names = below.parts[:-1]
            part = ("val" if names[0] in VALIDATION else names[0]) if is_split and names else ""
            label = names[1 if part and len(names) > 1 else 0] if names else ""
            found.append(_Candidate(str(path), str(below), part, label, partial(str, path)))
    return found, ignored


def _in_source(data: str | Path) -> tuple[list[_Candidate], Counter[str]]:
    """All pictures that a source tells, whatever their part."""
    listing = listed(data)
    found = []
    for name, part in listing.parts.items():
        pictures = Pictures.of(part, tuple(dict.fromkeys(part.labels)))
        side = "val" if name in VALIDATION else name
        for index, (picture, label) in enumerate(zip(pictures.names, part.labels, strict=True)):
            shown = picture.removeprefix(f"{Path(listing.place).parent}/")
            found.append(_Candidate(picture, shown, side, label, partial(pictures.__getitem__, index)))
    return found, listing.ignored


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
