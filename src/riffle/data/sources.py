"""What may be given as data: which words mean which source, and how the source is called."""

from collections.abc import Callable
from pathlib import Path

from riffle.data.digits import list_digits
from riffle.data.folders import list_folder
from riffle.data.listing import Listing
from riffle.data.manifests import READERS, list_manifest

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
    path = Path(data)
    if is_folder_of_pictures(path):
        return list_folder(path)
    if path.suffix.lower() in READERS:
        return list_manifest(path)
    what = "is no folder and no manifest" if path.exists() else "does not exist"
    raise ValueError(f"{path} {what}: give a folder of pictures, a manifest ({', '.join(READERS)}), or digits")


def is_folder_of_pictures(data: str | Path) -> bool:
    """Whether pictures are to be looked for as files of a folder."""
    return Path(data).is_dir()


def whereabouts(data: str | Path) -> str:
    """The same words, fit to find the source from any folder."""
    return str(data) if str(data) in BUILT_IN else str(Path(data).resolve())


def title(data: str | Path) -> str:
    """A short name, that a run's folder may have."""
    path = Path(data).resolve()
    return path.stem if path.suffix.lower() in READERS else path.name
