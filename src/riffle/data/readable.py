"""Which pictures can be decoded: found out once, and remembered while no file changes."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from riffle.files import cache_folder, write_json
from riffle.hardware import cores
from riffle.preprocessing import Picture, UnreadablePicture, open_picture

if TYPE_CHECKING:
    from datasets import Dataset

    from riffle.data.images import Pictures

AT_ONCE = 1024
"""Pictures that are handed to the threads together, so that a large set is never in memory as a whole."""


def find_unreadable(pictures: "Sequence[Picture] | Pictures") -> list[str | None]:
    """Why each picture cannot be decoded; None for those that can."""

    def reason(index: int) -> str | None:
        picture: Picture = b""
        try:
            picture = pictures[index]
            open_picture(picture, at_least=32)
        except (UnreadablePicture, OSError) as error:
            return reason_of(error, picture)
        return None

    found: list[str | None] = []
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(pictures), AT_ONCE):
            found += pool.map(reason, range(start, min(start + AT_ONCE, len(pictures))))
    return found


def unreadable_in(pictures: "Pictures") -> dict[int, str]:
    """Which pictures cannot be decoded, and why.

    Where the user's cache tells that the same files were looked at before, only those that failed are tried again.
    """
    state = _state(pictures.table)
    note = None if state is None else cache_folder() / "readable" / f"{state}.json"
    before = None if note is None else _failed(note, len(pictures))
    doubtful = list(range(len(pictures))) if before is None else before
    reasons = find_unreadable(pictures.select(doubtful))
    bad = {index: why for index, why in zip(doubtful, reasons, strict=True) if why is not None}
    if note is not None and before is None:
        with suppress(OSError):  # a cache that cannot be written costs time only
            write_json(note, list(bad))
    return bad


def _failed(note: Path, count: int) -> list[int] | None:
    """The pictures that a note names; None where there is none, or a damaged one."""
    try:
        named = json.loads(note.read_text(encoding="utf-8"))
        return named if set(named) <= set(range(count)) else None
    except (OSError, ValueError, TypeError):
        return None


def _state(table: "Dataset") -> str | None:
    """A hash of the files and of their sizes and times; None where the table itself holds pictures."""
    if "image" in table.column_names:
        return None
    digest = hashlib.sha256()
    is_sharded = "shard" in table.column_names
    try:
        for path in map(Path, table.unique("shard") if is_sharded else table["name"]):
            about = path.stat()
            digest.update(f"{path.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\0".encode(errors="surrogateescape"))
    except OSError:  # it says so when it is decoded
        return None
    if is_sharded:
        for column in ("offset", "length"):
            digest.update(table.with_format("numpy")[column][:].tobytes())
    return digest.hexdigest()[:32]


def reason_of(error: OSError | UnreadablePicture, picture: Picture) -> str:
    """Why a picture cannot be read, without its name."""
    name = "picture" if isinstance(picture, bytes) else str(picture)
    return (isinstance(error, OSError) and error.strerror) or str(error).removeprefix(f"{name}: ")
