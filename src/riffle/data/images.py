"""Labelled pictures: from folders and built-in sets to tables of Hugging Face ``datasets``."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffle.hardware import cores
from riffle.preprocessing import SUFFIXES, Picture, UnreadablePicture, open_picture

if TYPE_CHECKING:
    from datasets import Dataset

VALIDATION = ("val", "valid", "validation", "test")


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures with labels: a table with the columns ``image`` (a path or encoded bytes, not decoded) and ``label``."""

    table: "Dataset"

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

    def __getitem__(self, index: int) -> str | bytes:
        """The path of a picture, or its encoded content where it has none."""
        image = self.table[index]["image"]
        return image["path"] if image["bytes"] is None else image["bytes"]  # type: ignore[no-any-return]

    def name(self, index: int) -> str:
        """How to call a picture in a message."""
        return str(self.table[index]["image"]["path"])

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
    """One line for each file that could not be decoded."""
    ignored: dict[str, int] = field(default_factory=dict)
    """How many files had an ending that is not a picture's, by ending."""

    @property
    def fingerprint(self) -> str:
        """A hash of the pictures' names, from their common folder on, and labels: another one means other data."""
        digest = hashlib.sha256("\0".join(self.train.classes).encode())
        parts = [[image["path"] for image in part.table["image"]] for part in (self.train, self.validation)]
        root = len(os.path.commonpath([path for part in parts for path in part]))
        for part, names in zip((self.train, self.validation), parts, strict=True):
            for name, label in zip(names, part.labels, strict=True):
                digest.update(f"\0{name[root:]}\0{label}".encode(errors="surrogateescape"))
            digest.update(b"\0held out")
        return digest.hexdigest()[:16]


def read(data: str | Path, *, validation: float = 0.2, seed: int = 0) -> Split:
    """Read a set of pictures.

    Args:
        data: ``digits``, or a folder: ``class/picture`` or ``train/class/picture`` with ``val/class/picture``.
        validation: share of each class held out where there is no ``val``.
        seed: chooses which; the same seed holds out the same pictures.

    Raises:
        ValueError: no such folder, no pictures in it, fewer than two classes, or a split without readable pictures.
    """
    if str(data) in BUILT_IN:
        return _split_off(BUILT_IN[str(data)](), validation, seed)
    folder = _folder(data)
    held_out = _held_out(folder)
    ignored: Counter[str] = Counter()
    root = folder / "train" if (folder / "train").is_dir() else folder
    if root == folder and (parts := [n for n in _class_names(folder) if n in VALIDATION or n.startswith("train")]):
        raise ValueError(f"{folder} has {', '.join(parts)} where classes are expected: call the parts train and val")
    everything, unreadable = _readable(_listed(root, _class_names(root), ignored))
    _check(everything, root)
    if root == folder or held_out is None:
        split = _split_off(everything, validation, seed)
        return Split(split.train, split.validation, unreadable, dict(ignored))
    val, more = _judged(held_out, everything.classes, ignored)
    return Split(everything, val, unreadable + more, dict(ignored))


def read_judged(data: str | Path, classes: Sequence[str]) -> tuple[Pictures, list[str]]:
    """Pictures to judge a trained network on: a folder's ``val``, or all of it where it has none.

    Args:
        data: a folder.
        classes: the network's; labels are counted in their order. The folder may lack some of them.

    Returns:
        The pictures, and one line for each file that could not be decoded.

    Raises:
        ValueError: no such folder, a class that the network does not know, or no readable picture.
    """
    folder = _folder(data)
    return _judged(_held_out(folder) or folder, classes, Counter())


def _folder(data: str | Path) -> Path:
    folder = Path(data)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {what}: give a folder of pictures, or one of {', '.join(BUILT_IN)}")
    return folder


def _held_out(folder: Path) -> Path | None:
    return next((folder / name for name in VALIDATION if (folder / name).is_dir()), None)


def _judged(folder: Path, classes: Sequence[str], ignored: Counter[str]) -> tuple[Pictures, list[str]]:
    if extra := sorted(set(_class_names(folder)) - set(classes)):
        raise ValueError(f"{folder} has classes that were not learned: {', '.join(extra[:5])}")
    pictures, unreadable = _readable(_listed(folder, list(classes), ignored))
    if not len(pictures):
        raise ValueError(f"{folder} holds no pictures that can be read: expected {folder}/CLASS/PICTURE.jpg")
    return pictures, unreadable


def _class_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listed(folder: Path, classes: list[str], ignored: Counter[str]) -> Pictures:
    """The pictures below ``folder / class``, sorted by path.

    Listed here rather than by the ``imagefolder`` loader of ``datasets``, which takes "train" or "test" anywhere in a
    file's name for a split, and copies the list into a cache on disk.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).rglob("*")):
            if path.name.startswith(".") or not path.is_file():
                continue
            if not str(path).isprintable() and not _is_utf8(path):
                ignored["with a name that is not UTF-8"] += 1
            elif path.suffix.lower() in SUFFIXES:
                paths.append(str(path))
                labels.append(label)
            else:
                ignored[path.suffix.lower() or path.name] += 1
    return _table([{"path": path, "bytes": None} for path in paths], labels, classes)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _table(images: list[dict[str, str | bytes | None]], labels: list[int], classes: list[str]) -> Pictures:
    import datasets  # seconds to import, so only where pictures are read

    features = datasets.Features(
        {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=classes or ["none"])}
    )
    return Pictures(datasets.Dataset.from_dict({"image": images, "label": labels}, features=features))


def _check(pictures: Pictures, folder: Path) -> None:
    if not len(pictures):
        raise ValueError(f"{folder} holds no pictures that can be read: expected {folder}/CLASS/PICTURE.jpg")
    counts = Counter(pictures.labels.tolist())
    if len(counts) < 2:
        only = pictures.classes[next(iter(counts))]
        raise ValueError(f"{folder} has pictures of one class only ({only}): there is nothing to tell apart")
    if empty := [name for label, name in enumerate(pictures.classes) if not counts[label]]:
        raise ValueError(
            f"no pictures that can be read in {', '.join(empty)} of {folder}: fill or remove these folders"
        )


def _readable(pictures: Pictures) -> tuple[Pictures, list[str]]:
    """Decode everything once; leave out what fails, with a line for each."""
    reasons = find_unreadable(list(pictures))
    bad = [why for why in reasons if why is not None]
    good = [index for index, why in enumerate(reasons) if why is None]
    return (pictures.select(good) if bad else pictures), bad


def find_unreadable(pictures: Sequence[Picture]) -> list[str | None]:
    """Why each picture cannot be decoded; None for those that can."""

    def reason(picture: Picture) -> str | None:
        try:
            open_picture(picture, at_least=32)
        except (UnreadablePicture, OSError) as error:
            return str(error)
        return None

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(reason, pictures))


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


def _digits() -> Pictures:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels in 16 greys."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images: list[dict[str, str | bytes | None]] = []
    for index, grey in enumerate(bunch.images):
        png = BytesIO()
        Image.fromarray((grey * (255 / 16)).astype(np.uint8)).save(png, "PNG")
        images.append({"path": f"digit-{index:04d}.png", "bytes": png.getvalue()})
    return _table(images, bunch.target.tolist(), [str(digit) for digit in range(10)])


BUILT_IN: dict[str, Callable[[], Pictures]] = {"digits": _digits}
"""Sets that come with an installed package, by name."""
