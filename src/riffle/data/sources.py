"""What may be given as data: which words mean which source, and how the source is called."""

from collections.abc import Callable
from pathlib import Path

from riffle.data.digits import list_digits
from riffle.data.folders import list_folder
from riffle.data.hub import is_address, list_hub, name_of
from riffle.data.listing import Listing
from riffle.data.manifests import READERS, list_manifest
from riffle.data.shards import is_shards, list_shards

BUILT_IN: dict[str, Callable[[], Listing]] = {"digits": list_digits}
"""Sets that come with an installed package, by name."""


def listed(data: str | Path) -> Listing:
    """The pictures of a source, not yet decoded.

    Raises:
        ValueError: there is no such source, or it is not as it should be.
    """
    words = str(data)
    if words in BUILT_IN:
        return BUILT_IN[words]()
    if is_address(data):
        return list_hub(words)
    if is_shards(data):
        return list_shards(data)
    if is_folder_of_pictures(data):
        return list_folder(Path(data))
    path = Path(data)
    if path.suffix.lower() in READERS:
        return list_manifest(path)
    what = "is no folder and no manifest" if path.exists() else "does not exist"
    raise ValueError(
        f"{path} {what}: give a folder of pictures, a manifest ({', '.join(READERS)}), .tar, digits, or hf://datasets/OWNER/NAME"
    )


def is_folder_of_pictures(data: str | Path) -> bool:
    """Whether pictures are to be looked for as files of a folder."""
    return Path(data).is_dir() and not is_shards(data)


def whereabouts(data: str | Path) -> str:
    """The same words, fit to find the source from any folder."""
    return str(data) if str(data) in BUILT_IN or is_address(data) else str(Path(data).resolve())


def title(data: str | Path) -> str:
    """A short name, that a run's folder may have: that of the folder or file, or of what a pattern lies in."""
    if is_address(data):
        return name_of(str(data))
    path = Path(data).resolve()
    if not path.exists() and is_shards(data):
        return path.parent.name
    return path.stem if path.suffix.lower() in (*READERS, ".tar") else path.name
