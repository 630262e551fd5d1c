"""All networks as a table: what each costs, what its paper promises, and whose weights there are.

The counts are in ``catalogue.csv``, written by ``tools/write_zoo.py`` from the networks themselves, so that listing
hundreds of them takes no time and no torch. The papers' accuracies are in ``papers.csv``, the weights in
``weights/sources.csv``.
"""

import csv
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from importlib.resources import files
from typing import Any

from riffle.weights.sources import available

COLUMNS = {
    "name": "network",
    "params": "parameters",
    "macs": "MACs",
    "memory_access": "memory access",
    "size": "size",
    "paper_top1": "paper's top-1 %",
    "paper": "paper",
    "weights_top1": "weights' top-1 %",
    "weights": "weights by",
}
"""Every column with its heading. Memory access is in elements read and written; accuracies are of ImageNet-1k."""


def catalogue(pattern: str = "*", *, size: int | None = None, sort: str | None = None) -> list[dict[str, Any]]:
    """One row with all columns for each network whose name matches a shell pattern, in the order of the papers' tables.

    Args:
        pattern: as in ``"shufflenet_v2*"``.
        size: the pictures' side in pixels to count for; each network's own when left out. Networks that take no
            pictures so small are left out.
        sort: a column to order by, smallest first; rows that lack it come last.

    Raises:
        ValueError: there is no such column, or no such size.
    """
    if size is not None and size < 1:
        raise ValueError(f"size is a number of pixels; got {size}")
    if sort is not None:
        check_columns([sort])
    counts = [dict(row) for row in _counted() if fnmatch(str(row["name"]), pattern)]
    if size is not None:
        from riffle.zoo import count

        counts = [row for row in (count(str(row["name"]), size) for row in counts) if row is not None]
    rows = [_with_publications(row) for row in counts]
    if sort is not None:
        rows.sort(key=lambda row: (row[sort] in (None, ""), row[sort]))
    return rows


def check_columns(columns: Sequence[str]) -> None:
    """Raise ``ValueError`` for a column that the table does not have."""
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise ValueError(f"no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}")


def _with_publications(row: dict[str, Any]) -> dict[str, Any]:
    paper = _papers().get(row["name"], {})
    sets = available(row["name"])
    return {
        **row,
        "paper_top1": float(paper["top1"]) if paper.get("top1") else None,
        "paper": paper.get("source", ""),
        "weights_top1": max((source.top1 for source in sets if source.top1 is not None), default=None),
        "weights": ", ".join(dict.fromkeys(source.origin for source in sets)),
    }


@cache
def _counted() -> list[dict[str, int | str]]:
    return [
        {name: value if name == "name" else int(value) for name, value in row.items()} for row in _read("catalogue.csv")
    ]


@cache
def _papers() -> dict[str, dict[str, str]]:
    return {row["network"]: row for row in _read("papers.csv")}


def _read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files("riffle") / name).read_text(encoding="utf-8").splitlines()))
