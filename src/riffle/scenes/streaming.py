"""Map a scene that need not fit into memory: read a part, classify it, write it, go on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffle.files import replacing
from riffle.scenes.inference import MEMORY, Progress, Tile, dense
from riffle.scenes.maps import geotiff
from riffle.scenes.reduction import Reduction
from riffle.scenes.run import Trained
from riffle.scenes.scene import Cube, Scene


@dataclass(frozen=True)
class Mapped:
    """Files of a map, opened as views: they may be larger than memory."""

    classes: npt.NDArray[np.uint16]
    """(rows, columns), the first class is 1."""
    confidence: npt.NDArray[np.float16]
    """Probability of that class."""
    files: tuple[Path, ...]


def write_map(
    trained: Trained, scene: Scene, folder: Path, *, memory: int = MEMORY, progress: Progress | None = None
) -> Mapped:
    """Classify every pixel; writes ``classes.npy`` and ``confidence.npy``, and ``map.tif`` for a georeferenced scene.

    Args:
        trained: network and reduction.
        scene: read where needed, tile by tile.
        folder: for the files.
        memory: bytes that the pass may take.
        progress: told how many more pixels are done.

    Raises:
        ValueError: the scene has other bands or smaller sides than the network needs, numbers that are not finite, or
            there is too little memory for one window.
        OSError: the disk is full; older files are unharmed.
    """
    rows, columns = scene.size
    window = trained.setup.recipe.window
    if min(rows, columns) < window:
        raise ValueError(f"the network looks at windows of {window} pixels; the scene is {rows} x {columns}")
    network = dense(trained.network, window=window, memory=memory)
    paths = [folder / "classes.npy", folder / "confidence.npy"]
    with replacing(paths[0]) as first, replacing(paths[1]) as second:
        classes = _open(first, (rows, columns), np.uint16)
        confidence = _open(second, (rows, columns), np.float16)
        for tile in network.tiles(rows, columns, bands=trained.reduction.components):
            scores = network.tile(torch.from_numpy(_with_border(scene.cube, trained.reduction, tile, window)))
            best = scores.softmax(0).max(0)
            place = np.s_[tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns]
            classes[place] = best.indices.cpu().numpy() + 1
            confidence[place] = best.values.float().cpu().numpy()
            if progress is not None:
                progress(tile.rows * tile.columns)
        classes.flush()
        confidence.flush()
    found = Mapped(np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r"), tuple(paths))
    if scene.georeference is None:
        return found
    path = folder / "map.tif"
    _write_geotiff(path, found.classes, scene)
    return Mapped(found.classes, found.confidence, (*paths, path))


def _with_border(cube: Cube, reduction: Reduction, tile: Tile, window: int) -> npt.NDArray[np.float32]:
    """(components, rows + window - 1, columns + window - 1) of a tile, with zeros where the scene ends."""
    before, border = window // 2, window - 1
    top, left = tile.row - before, tile.column - before
    height, width = tile.rows + border, tile.columns + border
    rows, columns, _ = cube.shape
    first, last = max(top, 0), min(top + height, rows)
    start, end = max(left, 0), min(left + width, columns)
    part = np.zeros((reduction.components, height, width), dtype=np.float32)
    for row in range(first, last):  # a row at a time: all bands of a tile at once would be many times its components
        spectra = np.asarray(cube[row : row + 1, start:end])
        part[:, row - top, start - left : end - left] = reduction(spectra, first_row=row)[0].T
    return part


def _open(path: Path, shape: tuple[int, int], kind: type) -> np.memmap[tuple[int, int], np.dtype[np.generic]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def _write_geotiff(path: Path, classes: npt.NDArray[np.uint16], scene: Scene) -> None:
    with geotiff(path, scene.size, scene.georeference, kind="uint16") as file:
        for row in range(0, scene.size[0], 256):
            part = np.asarray(classes[row : row + 256])
            file.write(part, 1, window=((row, row + len(part)), (0, scene.size[1])))
