"""The page of an audit: what is wrong with a set of pictures, with the pictures."""

from pathlib import Path

from riffle.data.audit import Audit, Entry
from riffle.pages.page import write_page
from riffle.pages.pictures import thumbnail
from riffle.preprocessing import UnreadablePicture

MOST_PAIRS = 60
"""Pairs that are shown as pictures; the others are listed."""


def write_audit(path: Path, found: Audit) -> None:
    """Write the page; an older one stays complete until the new one is.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    counts = found.counts()
    parts = sorted(counts)
    classes = sorted({label for counter in counts.values() for label in counter})
    worst_first = sorted(found.pairs, key=lambda pair: (not pair.is_leak, not pair.is_conflict))
    contents = {
        "audit": found,
        "problems": found.problems(),
        "parts": parts,
        "classes": [(name, [counts[part][name] for part in parts]) for name in classes],
        "sides": found.shorter_sides(),
        "pairs": [(pair, [_shown(entry) for entry in (pair.first, pair.second)]) for pair in worst_first[:MOST_PAIRS]],
        "others": worst_first[MOST_PAIRS:],
    }
    write_page(path, "audit.html.j2", contents)


def _shown(entry: Entry) -> str | None:
    try:
        return thumbnail(entry.read())
    except (UnreadablePicture, OSError):  # an archive that is gone by now
        return None
