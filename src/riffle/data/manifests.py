"""Manifests: tables with a row for each picture, as CSV, TSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riffle.data.listing import Listing
from riffle.data.tables import list_tables

if TYPE_CHECKING:
    from datasets import Dataset


def list_manifest(path: Path) -> Listing:
    """The pictures that a manifest names or, if it is Parquet, holds.

    A relative path begins at the manifest's folder. It may lead out of it, and absolute ones may lead anywhere: files
    are only read.

    Raises:
        ValueError: no such file, it cannot be read, or a column is missing.
    """
    if not path.is_file():
        raise ValueError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    try:
        table = READERS[path.suffix.lower()](path)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
    return list_tables({"": table}, str(path.absolute()), path.absolute().parent)


def _delimited(path: Path) -> "Dataset":
    """Comma, tab or semicolon, whichever the first line has most of; every value stays as it is written."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        try:
            rows = [row for row in csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True) if row]
        except csv.Error as error:
            raise ValueError(f"{path}: {error}") from error
    if not rows:
        raise ValueError(f"{path} is empty: its first line names the columns")
    header, *rows = rows
    return _table({name: [row[i] if i < len(row) else None for row in rows] for i, name in enumerate(header)})


def _json_lines(path: Path) -> "Dataset":
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rows.append(dict(json.loads(line)))
            except (TypeError, ValueError):
                raise ValueError(f"{path}, line {number}: not a JSON object") from None
    names = dict.fromkeys(name for row in rows for name in row)
    return _table({name: [_as_text(row.get(name)) for row in rows] for name in names})


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _table(columns: dict[str, list[str | None]]) -> "Dataset":
    import datasets  # seconds to import, so only where pictures are read

    features = datasets.Features({name: datasets.Value("string") for name in columns})
    return datasets.Dataset.from_dict(columns, features=features)


def _parquet(path: Path) -> "Dataset":
    """Read through ``datasets``, which keeps a copy in its cache that any row is read from without the others."""
    import datasets

    datasets.disable_progress_bars()
    try:
        return datasets.Dataset.from_parquet(str(path))
    except Exception as error:  # arrow raises many kinds on damaged files
        raise ValueError(f"{path} cannot be read as Parquet: {error.__cause__ or error}") from error


READERS: dict[str, Callable[[Path], "Dataset"]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
"""What reads a manifest, by the ending of its name."""
