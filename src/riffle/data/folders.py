"""Folders of pictures: ``class/picture``, or ``train/class/picture`` with ``val/class/picture``."""

from collections import Counter
from pathlib import Path

from riffle.data.listing import TRAIN, VALIDATION, Listing, Part, named_files
from riffle.preprocessing import SUFFIXES


def list_folder(folder: Path) -> Listing:
    """The pictures in class folders, sorted by path.

    Listed here rather than by the ``imagefolder`` loader of ``datasets``, which takes "train" or "test" anywhere in a
    file's name for a split, and copies the list into a cache on disk.

    Raises:
        ValueError: there are folders called like parts where classes are expected.
    """
    roots = {name: folder / name for name in (TRAIN, *VALIDATION) if (folder / name).is_dir()} or {"": folder}
    learned = next(iter(roots.values()))
    classes = _class_names(learned)
    if learned == folder and (odd := [name for name in classes if name.startswith(TRAIN)]):
        raise ValueError(f"{folder} has {', '.join(odd)} where classes are expected: call the parts train and val")
    ignored: Counter[str] = Counter()
    parts = {name: _listed(root, ignored) for name, root in roots.items()}
    return Listing(str(learned), f"{learned}/CLASS/PICTURE.jpg", parts, tuple(classes), ignored)


def _class_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listed(folder: Path, ignored: Counter[str]) -> Part:
    paths: list[str] = []
    labels: list[str] = []
    for name in _class_names(folder):
        for path in sorted((folder / name).rglob("*")):
            if path.name.startswith(".") or not path.is_file():
                continue
            if not str(path).isprintable() and not _is_utf8(path):
                ignored["with a name that is not UTF-8"] += 1
            elif path.suffix.lower() in SUFFIXES:
                paths.append(str(path))
                labels.append(name)
            else:
                ignored[path.suffix.lower() or path.name] += 1
    return named_files(paths, labels)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
