"""Shards: tar archives in which a picture and its label share a name, ``0001.jpg`` and ``0001.cls`` or ``0001.json``.

The layout is WebDataset's (https://github.com/webdataset/webdataset). The archives are passed over once, from header to
header, for the place and size of every picture; from then on each is read from its place. So a set of any size takes a
row a picture in memory, any order will do, a run goes on in the middle of an epoch, and nothing is unpacked.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

from riffle.data.listing import TRAIN, VALIDATION, Listing, Part, in_order
from riffle.preprocessing import SUFFIXES, UnreadablePicture

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
LABEL_BYTES = 1 << 20
"""No label is longer; what is, is something else."""
JSON_LABELS = ("label", "class", "target", "cls", "category", "label_name", "class_name")

_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")


@dataclass
class _Rows:
    """Where the pictures of a part are: a column a list."""

    name: list[str] = field(default_factory=list)
    shard: list[str] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def part(self) -> Part:
        import datasets  # seconds to import, so only where pictures are read

        text, number = datasets.Value("string"), datasets.Value("int64")
        features = datasets.Features({"name": text, "shard": text, "offset": number, "length": number})
        return Part(datasets.Dataset.from_dict({n: getattr(self, n) for n in features}, features=features), self.labels)


def is_shards(data: str | Path) -> bool:
    """Whether words name archives: one, a pattern for several, or a folder with archives and no class folders."""
    path = Path(data)
    if not path.is_dir():
        return str(data).lower().endswith((".tar", *COMPRESSED))
    roots = [path / name for name in (TRAIN, *VALIDATION) if (path / name).is_dir()] or [path]
    folders = [entry for root in roots for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."]
    return any(map(_archives, roots)) and not folders


def list_shards(data: str | Path) -> Listing:
    """The pictures in archives, in the order in which they lie there.

    The part of an archive is told by the folder that it lies in, else by a word of its name (``pets-train-000.tar``);
    archives of which none tells are not split.

    Raises:
        ValueError: no such archives, compressed or damaged ones, or labels that cannot be read.
    """
    paths = _found(data)
    ignored: Counter[str] = Counter()
    rows: dict[str, _Rows] = {}
    for path in paths:
        if path.name.lower().endswith(COMPRESSED):
            raise ValueError(f"{path} is compressed, so no picture can be read from its place: unpack it to a .tar")
        _pass_over(path, rows.setdefault(_part_of(path), _Rows()), ignored)
    if "" in rows and len(rows) > 1:
        odd = next(path for path in paths if not _part_of(path))
        raise ValueError(f"{odd} tells no part and others do: name it like train-000.tar or val-000.tar")
    found = {name: part.part() for name, part in rows.items() if part.labels}
    learned = found.get(TRAIN) or next(iter(found.values()), None)
    expected = "KEY.jpg beside KEY.cls or KEY.json in each archive"
    return Listing(str(data), expected, found, in_order(learned.labels if learned else ()), ignored)


def content_of(shard: str, offset: int, length: int) -> bytes:
    """The encoded picture at a place in an archive.

    Raises:
        OSError: the archive is gone.
        UnreadablePicture: it ends before the picture does.
    """
    with Path(shard).open("rb") as file:
        file.seek(offset)
        content = file.read(length)
    if len(content) < length:
        raise UnreadablePicture(f"{shard} ends early")
    return content


def _found(data: str | Path) -> list[Path]:
    path = Path(data).absolute()
    if path.is_dir():
        roots = [path / name for name in (TRAIN, *VALIDATION) if (path / name).is_dir()] or [path]
        return [archive for root in roots for archive in _archives(root)]
    found: list[Path] = []
    for pattern in _alternatives(str(path)):
        paths = sorted(glob(pattern)) if has_magic(pattern) else [pattern]  # noqa: PTH207 - patterns may be absolute
        if not paths or not Path(paths[0]).is_file():
            raise ValueError(f"{pattern} does not exist")
        found += map(Path, paths)
    return found


def _archives(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith((".tar", *COMPRESSED)))


def _alternatives(pattern: str) -> Iterator[str]:
    """``{000..009}`` and ``{train,val}`` spelled out, as a shell does."""
    match = _ALTERNATIVES.search(pattern)
    if match is None:
        yield pattern
        return
    first, dots, last = match[1].partition("..")
    if dots and first.isdecimal() and last.isdecimal():
        choices: Sequence[str] = [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from _alternatives(pattern[: match.start()] + choice + pattern[match.end() :])


def _part_of(path: Path) -> str:
    for words in (path.parent.name.lower(), *reversed(re.split(r"[^a-z]+", path.stem.lower()))):
        if words in (TRAIN, *VALIDATION):
            return words
    return ""


def _pass_over(path: Path, rows: _Rows, ignored: Counter[str]) -> None:
    """Note the places of an archive's pictures, and read its labels."""
    pictures: list[tuple[str, str, int, int]] = []
    labels: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                folder, slash, file = member.name.rpartition("/")
                key, _, ending = file.partition(".")
                key, ending = f"{folder}{slash}{key}", f".{ending.lower()}"
                if not member.isreg() or member.issparse() or file.startswith("."):
                    continue
                if ending in SUFFIXES:
                    pictures.append((key, member.name, member.offset_data, member.size))
                elif ending in (".cls", ".json"):
                    text = content_of(str(path), member.offset_data, min(member.size, LABEL_BYTES))
                    label = _label(text, ending, f"{path}/{member.name}")
                    if label is not None:
                        labels[key] = label
                else:
                    ignored[ending] += 1
    except tarfile.TarError as error:
        raise ValueError(f"{path} is damaged or no tar archive: {error}") from error
    for key, name, offset, length in pictures:
        if key not in labels:
            ignored["pictures without .cls or .json"] += 1
            continue
        rows.name.append(f"{path}/{name}")
        rows.shard.append(str(path))
        rows.offset.append(offset)
        rows.length.append(length)
        rows.labels.append(labels[key])


def _label(text: bytes, ending: str, place: str) -> str | None:
    """A class's name or number from a label file; None from JSON that has other things to tell."""
    try:
        words = text.decode()
        if ending == ".cls":
            return words.strip() or None
        found = json.loads(words)
        value = next((found[name] for name in JSON_LABELS if name in found), None)
    except (ValueError, TypeError):
        raise ValueError(f"{place} is no label") from None
    return str(value) if isinstance(value, str | int) else None
