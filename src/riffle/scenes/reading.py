"""Scenes and ground truth from files: NumPy, Matlab, ENVI, GeoTIFF, and the one that comes with a package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from riffle.scenes.scene import Georeference, Scene, checked

BUILT_IN = "indian-pines"
INDIAN_PINES = (
    *("Alfalfa", "Corn-notill", "Corn-mintill", "Corn", "Grass-pasture", "Grass-trees", "Grass-pasture-mowed"),
    *("Hay-windrowed", "Oats", "Soybean-notill", "Soybean-mintill", "Soybean-clean", "Wheat", "Woods"),
    *("Buildings-Grass-Trees-Drives", "Stone-Steel-Towers"),
)
"""The classes of Indian Pines, in the order of their numbers in the ground truth."""

_EXTRA = "pip install 'riffle-vision[scenes]'"


@dataclass(frozen=True)
class Raster:
    """An array from a file, and what the file tells about it."""

    values: Any
    """An array, or a :class:`GeoTiffCube`."""
    georeference: Georeference | None = None
    wavelengths: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    """Names of class 1, 2, …, where the file tells them."""


def read(
    scene: str | Path, truth: str | Path | None = None, *, classes: Sequence[str] | None = None, key: str | None = None
) -> Scene:
    """A scene, with its ground truth where one is given.

    Args:
        scene: a file (``.npy``, ``.mat``, ``.hdr`` of ENVI, ``.tif``) with rows, columns and bands, or
            ``indian-pines``, which comes with its ground truth. Files stay on disk where their format allows it.
        truth: a file of the same kinds with rows and columns: 0 is unlabelled, the first class is 1.
        classes: names of the classes; those in an ENVI header, or their numbers, when left out.
        key: name of the cube's variable in a ``.mat`` file that has several.

    Raises:
        ValueError: a file is missing, truncated, of another kind, or cube and ground truth do not fit together.
    """
    if str(scene) == BUILT_IN:
        if truth is not None:
            raise ValueError(f"{BUILT_IN} comes with its ground truth: leave the file out")
        return indian_pines()
    cube = _raster(Path(scene), axes=3, key=key)
    found = Scene(Path(scene).stem, cube.values, georeference=cube.georeference, wavelengths=cube.wavelengths)
    if truth is not None:
        told = _raster(Path(truth), axes=2, key=None)
        labels = _labels(told.values, truth)
        count = int(labels.max()) if labels.size else 0
        numbers = tuple(f"class {number}" for number in range(1, count + 1))
        names = tuple(classes) if classes is not None else told.classes or numbers
        found = replace(found, truth=labels, classes=names)
    return checked(found)


def indian_pines() -> Scene:
    """145 x 145 pixels of fields and woods in Indiana, 200 bands of AVIRIS, 16 classes (Baumgardner et al., 1992).

    Raises:
        ValueError: the package tensorly, in which the scene comes, is not installed.
    """
    found = find_spec("tensorly")
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"the scene {BUILT_IN} comes with the package tensorly: {_EXTRA}")
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "data"
    cube = _raster(folder / "Indian_pines_corrected.npy", axes=3, key=None).values
    truth = _labels(_raster(folder / "Indian_pines_gt.npy", axes=2, key=None).values, "Indian_pines_gt.npy")
    return checked(Scene(BUILT_IN, cube, truth, INDIAN_PINES))


def _raster(path: Path, *, axes: int, key: str | None) -> Raster:
    ending = path.suffix.lower()
    if ending not in _READERS:
        raise ValueError(f"{path.name}: scenes are read from {', '.join(_READERS)}")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return _READERS[ending](path, axes, key)
    except ImportError as error:
        raise ValueError(f"reading {ending} needs the package {error.name}: {_EXTRA}") from error
    except _Unsuitable as error:
        raise ValueError(f"{path.name}: {error}") from None
    except Exception as error:  # each library has its own errors for damaged files
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{path.name} is damaged or truncated: {reason[0] if reason else type(error).__name__}"
        ) from error


class _Unsuitable(Exception):
    """The file is whole, but not what was asked for."""


def _npy(path: Path, axes: int, key: str | None) -> Raster:
    return Raster(np.load(path, mmap_mode="r", allow_pickle=False))


def _mat(path: Path, axes: int, key: str | None) -> Raster:
    """Version 7.3 is HDF5, whose axes come in the reverse order; older ones are read by SciPy, whole."""
    with path.open("rb") as file:
        is_hdf5 = b"MATLAB 7.3" in file.read(128)
    if is_hdf5:
        import h5py

        with h5py.File(path) as file:
            found = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset) and item.ndim == axes}
            return Raster(np.ascontiguousarray(found[_only(found, key, axes)][()].T))
    from scipy.io import loadmat

    arrays = {
        name: value
        for name, value in loadmat(path).items()
        if isinstance(value, np.ndarray) and value.ndim == axes and value.dtype.kind in "iuf"
    }
    return Raster(arrays[_only(arrays, key, axes)])


def _only(found: dict[str, Any], key: str | None, axes: int) -> str:
    if key is not None and key in found:
        return key
    if key is None and len(found) == 1:
        return next(iter(found))
    names = ", ".join(found) or "none"
    raise _Unsuitable(f"one variable with {axes} axes is wanted{f', {key},' if key else ''} and there are: {names}")


def _envi(path: Path, axes: int, key: str | None) -> Raster:
    import spectral

    image = spectral.envi.open(str(path))
    declared = image.nrows * image.ncols * image.nbands * np.dtype(image.dtype).itemsize + image.offset
    actual = Path(image.filename).stat().st_size
    if actual < declared:
        raise _Unsuitable(f"is truncated: the header promises {declared:,} bytes, and there are {actual:,}")
    view = image.open_memmap(interleave="bip")
    values = view if axes == 3 else view[:, :, 0]
    centers = image.bands.centers or ()
    scale = 1000.0 if centers and max(centers) < 100 else 1.0  # micrometres
    names = tuple(image.metadata.get("class names", ()))[1:]  # the first one is that of 0
    return Raster(values, wavelengths=tuple(scale * float(center) for center in centers), classes=names)


class GeoTiffCube:
    """Bands of a GeoTIFF as (rows, columns, bands); a slice reads that window of the file."""

    ndim = 3

    def __init__(self, path: Path) -> None:
        import rasterio

        self._file = rasterio.open(path)
        self.shape = (self._file.height, self._file.width, self._file.count)
        self.dtype = np.dtype(self._file.dtypes[0])

    def __getitem__(self, place: slice | tuple[slice, slice]) -> npt.NDArray[Any]:
        from rasterio.windows import Window

        down, right = place if isinstance(place, tuple) else (place, slice(None))
        (top, bottom, _), (left, end, _) = down.indices(self.shape[0]), right.indices(self.shape[1])
        values = self._file.read(window=Window(left, top, end - left, bottom - top))
        return np.asarray(np.moveaxis(values, 0, -1))


def _geotiff(path: Path, axes: int, key: str | None) -> Raster:
    import rasterio

    with rasterio.open(path) as file:
        where = Georeference(file.crs.to_wkt(), tuple(file.transform)[:6]) if file.crs else None
        if axes == 2:
            return Raster(file.read(1), where)
        file.read(1, window=((file.height - 1, file.height), (0, file.width)))  # a truncated file lacks its end
    return Raster(GeoTiffCube(path), where)


_READERS: dict[str, Callable[[Path, int, str | None], Raster]] = {
    ".npy": _npy,
    ".mat": _mat,
    ".hdr": _envi,
    ".tif": _geotiff,
    ".tiff": _geotiff,
}


def _labels(values: npt.NDArray[Any], source: str | Path) -> npt.NDArray[np.int64]:
    """Class numbers as whole numbers; raises ``ValueError`` where some are not."""
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        raise ValueError(f"{Path(source).name} is no ground truth: it holds numbers that are not whole")
    return np.asarray(values, dtype=np.int64)
