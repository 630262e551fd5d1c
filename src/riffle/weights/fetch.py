"""Downloads that go on where they stopped, are checked, and are kept."""

import hashlib
import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

CHUNK = 1 << 20
TIMEOUT = 30
"""Seconds without a byte after which a download gives up; what has come stays for the next time."""


def fetch(url: str, *, digest: str = "", folder: Path | None = None) -> Path:
    """A file from the network, or from the cache where it is there already.

    An interrupted download leaves ``<name>.part`` and goes on from there the next time. The file appears under its own
    name only when it is whole and its digest is right.

    Args:
        url: address; the file keeps the last part of its path as its name.
        digest: algorithm and first digits, as ``sha256:f707e7126e``; empty where the publisher gives none.
        folder: where files are kept; torch's own cache of checkpoints when left out, which torchvision uses too.

    Raises:
        ValueError: there is no network, the server refuses, or the content is not what the digest says.
    """
    folder = folder or Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlsplit(url).path).name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists() and _has(path, digest):
            return path
        part = path.with_name(f"{path.name}.part")
        try:
            _download(url, part)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ValueError(f"{url} could not be fetched: {reason}") from error
        if not _has(part, digest):
            part.unlink()
            raise ValueError(f"{url} is not the file that was published: its digest does not begin with {digest}")
        part.replace(path)
    return path


def _download(url: str, part: Path) -> None:
    """Append what is missing to ``part``."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: the part is whole, or it is not part of this file
            return
        raise
    with answer:
        if have and answer.status != 206:  # a server that cannot go on begins again
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        with _progress(part.stem, total) as progress, part.open("ab" if have else "wb") as file:
            task = progress.add_task(part.stem, total=total, completed=have)
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                progress.advance(task, len(chunk))
            file.flush()
            os.fsync(file.fileno())
        got = part.stat().st_size
    if total is not None and got < total:
        raise OSError(f"it broke off after {got:,} of {total:,} bytes; try again and it goes on from there")


def _progress(name: str, total: int | None) -> Progress:
    """A bar on a terminal; elsewhere one line."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        size = "" if total is None else f" ({total / 1e6:.1f} MB)"
        console.print(f"fetching {name}{size}", highlight=False, markup=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())


def _has(path: Path, digest: str) -> bool:
    if not digest:
        return True
    algorithm, _, begins = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(begins)
