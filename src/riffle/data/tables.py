"""Tables with a column of pictures and a column of labels: from their columns to a listing."""

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riffle.data.listing import TRAIN, VALIDATION, Listing, Part, in_order, named_files

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE = ("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "img", "picture")
LABEL = ("label", "class", "target", "category", "label_name", "class_name", "fine_label", "labels")
PART = ("split", "part", "subset")
"""Names of columns, the likeliest first; capitals, and blanks around a name, mean nothing."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def list_tables(tables: Mapping[str, "Dataset"], place: str, folder: Path | None = None) -> Listing:
    """What tables hold, one for each part; one alone, without a name, may tell parts in a column.

    Args:
        tables: a row for each picture: its path, or its encoded content as bytes or as ``datasets`` keeps it; and its
            label, as a name or a number.
        place: how to call them in a message.
        folder: where relative paths begin; None where there is no such place.

    Raises:
        ValueError: a column is missing, or holds what it should not.
    """
    parts: dict[str, Part] = {}
    ignored: Counter[str] = Counter()
    order: tuple[str, ...] = ()
    for name, table in tables.items():
        columns = _Columns(table, place)
        order = order or columns.class_names()
        labels = columns.labels()
        for part, rows in columns.rows_by_part(name, labels, ignored).items():
            kept = [str(labels[row]) for row in rows]
            parts[part] = columns.pictures(rows, kept, f"{place}/{name}" if name else place, folder)
    learned = parts.get(TRAIN) or parts.get("") or next(iter(parts.values()), None)
    found = set(learned.labels) if learned else set()
    classes = tuple(name for name in order if name in found) or in_order(found)
    return Listing(place, "a row for each picture, with its label", parts, classes, ignored)


class _Columns:
    """The columns of a table that matter."""

    def __init__(self, table: "Dataset", place: str) -> None:
        self.table = table
        self.place = place
        self.image = self._named(IMAGE, "the pictures")
        self.label = self._named(LABEL, "their labels")
        self.part = self._find(PART)

    def _find(self, names: Sequence[str]) -> str | None:
        plain = {column.strip().lower(): column for column in reversed(self.table.column_names)}
        return next((plain[name] for name in names if name in plain), None)

    def _named(self, names: Sequence[str], what: str) -> str:
        column = self._find(names)
        if column is None:
            there = ", ".join(self.table.column_names)
            raise ValueError(f"{self.place} has the columns {there}: call the one with {what} {' or '.join(names[:3])}")
        return column

    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in their order, where the table knows them."""
        return tuple(getattr(self.table.features[self.label], "names", None) or ())

    def labels(self) -> list[str | None]:
        """The name of each row's class; None where it has none, or no picture."""
        names = self.class_names()
        labels = [self._class(value, names) for value in self.table[self.label]]
        if not self._has_paths:
            return labels
        paths = self.table[self.image]
        return [label if (path or "").strip() else None for label, path in zip(labels, paths, strict=True)]

    @property
    def _has_paths(self) -> bool:
        return getattr(self.table.features[self.image], "dtype", None) in ("string", "large_string")

    def _class(self, value: Any, names: tuple[str, ...]) -> str | None:
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if names:
            return names[value] if value >= 0 else None  # -1 keeps labels of a contest secret
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # whole numbers, in a column that has gaps
        if not isinstance(value, str | int):
            raise ValueError(f"{self.place}: the label {value!r} is neither a name nor a whole number")
        return str(value).strip()

    def rows_by_part(self, name: str, labels: Sequence[str | None], ignored: Counter[str]) -> dict[str, list[int]]:
        """The rows that count, by the part that a column or, where it is known, ``name`` tells."""
        told = self.table[self.part] if self.part and not name else [name] * len(labels)
        found: dict[str, list[int]] = {}
        for row, (label, part) in enumerate(zip(labels, told, strict=True)):
            if label is None:
                ignored["rows without a picture or a label"] += 1
            else:
                found.setdefault(self._part(part) if self.part and not name else name, []).append(row)
        return found

    def _part(self, value: Any) -> str:
        plain = str(value or "").strip().lower()
        if plain in (TRAIN, "training"):
            return TRAIN
        if plain not in VALIDATION:
            raise ValueError(f"{self.place}: {self.part} is {TRAIN}, {', '.join(VALIDATION)}; got {value!r}")
        return plain

    def pictures(self, rows: list[int], labels: list[str], place: str, folder: Path | None) -> Part:
        """A part: paths as they are, encoded pictures left where they lie."""
        import datasets

        if self._has_paths:
            paths = self.table[self.image][rows]
            return named_files([_located(path, self.place, folder) for path in paths], labels)
        images = self.table.select_columns([self.image])
        if self.image != "image":
            images = images.rename_column(self.image, "image")
        try:
            images = images.cast_column("image", datasets.Image(decode=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.place}: {self.image} holds neither paths nor encoded pictures") from error
        table = images.add_column("name", _names(images, self.place, place, folder))
        return Part(table, labels, None if len(rows) == len(table) else rows)


def _names(images: "Dataset", table: str, place: str, folder: Path | None) -> list[str]:
    """A name for each picture; the path of those that lie outside. No picture is read."""
    names: list[str] = []
    for batch in images.with_format("arrow").iter(batch_size=1000):
        content, paths = batch["image"].flatten()
        for path, is_outside in zip(paths.to_pylist(), content.is_null().to_pylist(), strict=True):
            if path and is_outside:
                names.append(_located(path, table, folder))
            else:
                names.append(f"{place}/{path or f'row {len(names) + 1}'}")
    return names


def _located(path: str, place: str, folder: Path | None) -> str:
    """Where a file is that a table names: from the folder on, unless its path is absolute."""
    if _ADDRESS.match(path) or (folder is None and not os.path.isabs(path)):  # noqa: PTH117 - a string from a table
        raise ValueError(f"{place} names {path}: only files on this machine are read")
    return os.path.normpath((folder or Path("/")) / path.strip())
