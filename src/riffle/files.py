"""Files that are either whole or not there: written beside their place, then renamed into it."""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRAFT, OLD = ".riffle-draft", ".riffle-old"
"""Endings of what is half written or about to go; nobody else uses them, so they may be cleared away."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of ``path``, on failure it vanishes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    try:
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one step."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write readable JSON in one step."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each row in one step, below a line with the columns, which are those of the first."""
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def remove_drafts(folder: Path) -> None:
    """Clear away what killed processes left half written; nobody else may be writing there.

    A folder that was about to be replaced, and whose place is empty, is put back.
    """
    for old in folder.glob(f".*.*{OLD}"):
        place = folder / old.name.removeprefix(".").removesuffix(OLD).rsplit(".", 1)[0]
        if not place.exists():
            old.rename(place)
    for leftover in [*folder.glob(f".*{DRAFT}"), *folder.glob(f".*{OLD}")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """The same for a folder: the old one stays complete until the new one is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}{DRAFT}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}{OLD}")
    for leftover in (draft, old):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        if folder.exists():
            folder.rename(old)
        try:
            draft.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def replacing_parts(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The same for files that belong together, in one folder and under their own names.

    Yields paths in a temporary folder beside them. On success all take their places, on failure all vanish. The first
    path goes first and comes last, so that it never stands beside parts of another file.
    """
    first = paths[0]
    first.parent.mkdir(parents=True, exist_ok=True)
    folder = first.with_name(f".{first.name}.{os.getpid()}{DRAFT}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        drafts = [folder / path.name for path in paths]
        yield drafts
        for draft in drafts:
            with draft.open("rb+") as written:
                os.fsync(written.fileno())
        if len(paths) > 1:
            first.unlink(missing_ok=True)
        for draft, path in reversed(list(zip(drafts, paths, strict=True))):
            draft.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache_folder() -> Path:
    """Where what can be computed again is kept: ``RIFFLE_CACHE``, or ``riffle`` in the user's folder of caches."""
    own = os.environ.get("RIFFLE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "riffle"
