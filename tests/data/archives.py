"""Shards for tests."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

Member = tuple[str, bytes]


def pack(path: Path, members: Iterable[Member]) -> Path:
    """Write an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(folder: Path, label: str = "cls") -> list[list[Member]]:
    """Picture and label of each file of a folder, mixed as shards have them."""
    found = []
    for index, path in enumerate(sorted(folder.rglob("*.png"), key=lambda path: (path.name, path.parent.name))):
        name = path.parent.name
        text = name if label == "cls" else json.dumps({"id": index, "label": name})
        found.append([(f"{index:04d}.png", path.read_bytes()), (f"{index:04d}.{label}", text.encode())])
    return found


def flat(every: Iterable[list[Member]]) -> list[Member]:
    """All members in their order."""
    return [member for sample in every for member in sample]


def write_shards(pictures: Path, pattern: str, count: int, label: str = "cls") -> Path:
    """Spread a folder's pictures over archives."""
    every = samples(pictures, label)
    for index in range(count):
        pack(Path(pattern.format(index)), flat(every[index::count]))
    return Path(pattern).parent
