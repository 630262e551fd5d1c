"""Labelled pictures, to learn from and to be judged on: tables of Hugging Face ``datasets``."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riffle.data.listing import Listing, Part
from riffle.data.readable import unreadable_in
from riffle.data.shards import content_of
from riffle.data.sources import BUILT_IN, listed

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures with labels, each read when it is asked for.

    The table has the columns ``name`` and ``label``. A name is the path of the picture's file, unless the column
    ``image`` holds its encoded content, or ``shard``, ``offset`` and ``length`` tell where in an archive that is.
    """

    table: "Dataset"

    @classmethod
    def of(cls, part: Part, classes: Sequence[str]) -> "Pictures":
        """Those of a listing, with its classes as numbers.

        Raises:
            ValueError: a class is not among ``classes``.
        """
        import datasets  # seconds to import, so only where pictures are read

        number = {name: label for label, name in enumerate(classes)}
        if extra := sorted(set(part.labels) - set(number)):
            raise ValueError(f"classes that were not learned: {', '.join(extra[:5])}")
        labels = np.zeros(len(part.table), dtype=np.int64)
        labels[slice(None) if part.rows is None else part.rows] = [number[name] for name in part.labels]
        feature = datasets.ClassLabel(names=list(classes) or ["none"])
        pictures = cls(part.table.add_column("label", labels, feature=feature))
        return pictures if part.rows is None else pictures.select(part.rows)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self.table.features["label"].names)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The label of every picture."""
        return np.asarray(self.table.with_format("numpy")["label"][:], dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """How to call the pictures in a message; the path of each that is a file."""
        return self.table["name"][:]  # type: ignore[no-any-return]

    def __getitem__(self, index: int) -> str | bytes:
        """The path of a picture, or its encoded content where it is no file of its own."""
        row = self.table[index]
        if "shard" in row:
            return content_of(row["shard"], row["offset"], row["length"])
        content: bytes | None = row["image"]["bytes"] if "image" in row else None
        return str(row["name"]) if content is None else content

    def name(self, index: int) -> str:
        """How to call a picture in a message."""
        return str(self.table["name"][index])

    def __iter__(self) -> Iterator[str | bytes]:
        return (self[index] for index in range(len(self)))

    def select(self, indices: npt.NDArray[np.int64] | list[int]) -> "Pictures":
        """Those pictures only, in that order."""
        return Pictures(self.table.select(indices))


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures to learn from and pictures to be judged on, and what was left out."""

    train: Pictures
    validation: Pictures
    unreadable: list[str] = field(default_factory=list)
    """One line for each picture that could not be decoded."""
    ignored: dict[str, int] = field(default_factory=dict)
    """How many entries count for nothing, by what is wrong with them: an ending that is no picture's, no label."""

    @property
    def fingerprint(self) -> str:
        """A hash of the pictures' names, from their common folder on, and labels: another one means other data."""
        digest = hashlib.sha256("\0".join(self.train.classes).encode())
        parts = [part.names for part in (self.train, self.validation)]
        root = len(os.path.commonpath([path for part in parts for path in part]))
        for part, names in zip((self.train, self.validation), parts, strict=True):
            for name, label in zip(names, part.labels, strict=True):
                digest.update(f"\0{name[root:]}\0{label}".encode(errors="surrogateescape"))
            digest.update(b"\0held out")
        return digest.hexdigest()[:16]


def read(data: str | Path, *, validation: float = 0.2, seed: int = 0) -> Split:
    """Read a set of pictures.

    Args:
        data: ``digits``; a folder with ``class/picture`` or ``train/class/picture`` and ``val/class/picture``; or a
            manifest (:func:`riffle.data.manifests.list_manifest`) or shards (:func:`riffle.data.shards.list_shards`).
        validation: share of each class held out where the source does not say what is.
        seed: chooses which; the same seed holds out the same pictures.

    Raises:
        ValueError: no such source, no pictures in it, fewer than two classes, or a split without readable pictures.
    """
    listing = listed(data)
    pictures = Pictures.of(listing.learned, listing.classes)
    if str(data) in BUILT_IN:
        return _split_off(pictures, validation, seed)
    pictures, unreadable = _readable(pictures)
    _check(pictures, listing)
    ignored = dict(listing.ignored)
    if listing.held_out is None:
        split = _split_off(pictures, validation, seed)
        return Split(split.train, split.validation, unreadable, ignored)
    judged, more = _judged(listing, listing.classes)
    used = (listing.learned, listing.held_out)
    ignored |= {f"of the part {name}": len(part.labels) for name, part in listing.parts.items() if part not in used}
    return Split(pictures, judged, unreadable + more, ignored)


def read_judged(data: str | Path, classes: Sequence[str]) -> tuple[Pictures, list[str]]:
    """Pictures to judge a trained network on: those that a source holds out, or all where it is not split.

    Args:
        data: a source, as :func:`read` takes it.
        classes: the network's; labels are counted in their order. The source may lack some of them.

    Returns:
        The pictures, and one line for each that could not be decoded.

    Raises:
        ValueError: no such source, a class that the network does not know, or no readable picture.
    """
    return _judged(listed(data), classes)


def _judged(listing: Listing, classes: Sequence[str]) -> tuple[Pictures, list[str]]:
    try:
        pictures = Pictures.of(listing.judged, classes)
    except ValueError as error:
        raise ValueError(f"{listing.place} has {error}") from None
    pictures, unreadable = _readable(pictures)
    if not len(pictures):
        raise ValueError(listing.emptiness)
    return pictures, unreadable


def _check(pictures: Pictures, listing: Listing) -> None:
    place = listing.place
    if not len(pictures):
        raise ValueError(listing.emptiness)
    counts = Counter(pictures.labels.tolist())
    if len(counts) < 2:
        only = pictures.classes[next(iter(counts))]
        raise ValueError(f"{place} has pictures of one class only ({only}): there is nothing to tell apart")
    if empty := [name for label, name in enumerate(pictures.classes) if not counts[label]]:
        raise ValueError(f"no pictures that can be read in {', '.join(empty)} of {place}: fill or remove these classes")


def _readable(pictures: Pictures) -> tuple[Pictures, list[str]]:
    """Leave out what cannot be decoded, with a line for each."""
    bad = unreadable_in(pictures)
    lines = [f"{pictures.name(index)}: {why}" for index, why in bad.items()]
    good = [index for index in range(len(pictures)) if index not in bad]
    return (pictures.select(good) if bad else pictures), lines


def _split_off(pictures: Pictures, share: float, seed: int) -> Split:
    """Hold out the same share of every class, at least one picture where a class has two or more."""
    rng = np.random.default_rng(seed)
    labels = pictures.labels
    held_out: list[int] = []
    for label in range(len(pictures.classes)):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held_out += members[:count].tolist()
    if not held_out:
        raise ValueError("every class has a single picture: none can be held out to judge the network")
    rest = np.setdiff1d(np.arange(len(pictures)), held_out)
    return Split(pictures.select(rest), pictures.select(sorted(held_out)))
