"""A hyperspectral scene: a cube of spectra, and what is known about some of its pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Cube(Protocol):
    """Numbers (rows, columns, bands): an array, or a view of a file that is read where it is sliced."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and bands."""

    @property
    def ndim(self) -> int:
        """Three, in a scene that was checked."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of the numbers."""

    def __getitem__(self, place: Any, /) -> Any:
        """The pixels of a slice of rows, or of slices of rows and columns."""


Truth = npt.NDArray[np.int64]
"""Classes (rows, columns): 0 is unlabelled, the first class is 1."""

CHUNK = 64 * 2**20
"""Bytes of float32 that are read from a cube at once."""


@dataclass(frozen=True)
class Georeference:
    """Where a scene lies on Earth, as GeoTIFF tells it."""

    crs: str
    """Well-known text of the coordinate system."""
    transform: tuple[float, ...]
    """Six numbers of the affine map from (column, row) to coordinates: a, b, c, d, e, f."""


@dataclass(frozen=True)
class Scene:
    """A cube with its ground truth; ``truth`` is None for a scene that is only to be mapped."""

    name: str
    cube: Cube
    truth: Truth | None = None
    classes: tuple[str, ...] = ()
    """Names of class 1, 2, … in that order."""
    georeference: Georeference | None = None
    wavelengths: tuple[float, ...] = field(default=())
    """Of the bands in nanometres, where the file tells them."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns, _ = self.cube.shape
        return rows, columns

    @property
    def bands(self) -> int:
        """Numbers in each spectrum."""
        return int(self.cube.shape[2])

    @property
    def labelled(self) -> Truth:
        """The ground truth of a scene that must have one; raises ``ValueError`` where it has none."""
        if self.truth is None:
            raise ValueError(f"{self.name} comes without ground truth: give a file with the classes of its pixels")
        return self.truth


def checked(scene: Scene) -> Scene:
    """The scene itself, when cube and ground truth fit together.

    Raises:
        ValueError: they do not; says what was found and, where axes seem to be swapped, how to turn them.
    """
    cube, truth = scene.cube, scene.truth
    if cube.ndim != 3:
        raise ValueError(f"a scene has three axes (rows, columns, bands); {scene.name} has the shape {_by(cube.shape)}")
    if cube.dtype.kind not in "iuf":
        raise ValueError(f"a scene holds whole or real numbers; {scene.name} holds {cube.dtype}")
    if min(cube.shape) == 0:
        raise ValueError(f"{scene.name} is empty: its shape is {_by(cube.shape)}")
    if truth is None:
        return scene
    if truth.ndim != 2:
        raise ValueError(f"ground truth has two axes (rows, columns); this one has the shape {_by(truth.shape)}")
    if truth.shape != cube.shape[:2]:
        raise ValueError(_misfit(scene.name, cube.shape, truth.shape))
    if truth.min() < 0:
        raise ValueError(f"classes count from 1, and 0 is unlabelled; the ground truth holds {truth.min()}")
    if truth.max() == 0:
        raise ValueError("the ground truth has no labelled pixel: all are 0")
    if truth.max() > len(scene.classes):
        raise ValueError(f"the ground truth has classes up to {truth.max()}, but {len(scene.classes)} names were given")
    return scene


def _misfit(name: str, cube: tuple[int, ...], truth: tuple[int, ...]) -> str:
    found = f"{name} is {_by(cube)} and its ground truth {_by(truth)}"
    if cube[1:] == truth:
        return f"{found}: the bands come first; turn the cube with numpy.moveaxis(cube, 0, -1)"
    if cube[:2] == truth[::-1]:
        return f"{found}: rows and columns are swapped; turn the cube with cube.swapaxes(0, 1)"
    return f"{found}: both must have the same rows and columns"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def spectra(cube: Cube, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Spectra (pixels, bands) of pixels counted row by row, in ascending order of the pixels."""
    columns = cube.shape[1]
    ordered = np.sort(pixels)
    found = []
    for first, strip in strips(cube):
        start, end = np.searchsorted(ordered, [first * columns, (first + len(strip)) * columns])
        found.append(strip.reshape(-1, strip.shape[-1])[ordered[start:end] - first * columns])
    return np.concatenate(found)


def strips(cube: Cube, *, bytes_at_once: int = CHUNK) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """A cube in strips of whole rows as float32, each with its first row: how a scene larger than memory is read."""
    rows, columns, bands = cube.shape
    step = max(1, bytes_at_once // (4 * columns * bands))
    for first in range(0, rows, step):
        yield first, np.asarray(cube[first : first + step], dtype=np.float32)
