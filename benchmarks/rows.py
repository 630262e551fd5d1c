"""CSV files that a series adds lines to as they come, so that an interrupted one is not lost."""

import csv
from pathlib import Path
from typing import Any


def read(path: Path) -> list[dict[str, str]]:
    """The lines that are there; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add(path: Path, row: dict[str, Any]) -> None:
    """One more line; the first one brings the columns' names."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
