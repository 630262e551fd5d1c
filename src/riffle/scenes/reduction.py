"""From many bands to few numbers: principal components, or standardized bands."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from riffle.scenes.scene import Cube, strips

Array = npt.NDArray[np.float32]
Kind = Literal["pca", "standardize"]


@dataclass(frozen=True)
class Reduction:
    """``(spectrum - mean) @ matrix``: an affine map from the bands of a scene to what a network sees."""

    mean: Array
    """(bands)"""
    matrix: Array
    """(bands, components)"""

    @property
    def components(self) -> int:
        """Numbers that each spectrum becomes."""
        return int(self.matrix.shape[1])

    def __call__(self, spectra: npt.NDArray[Any], *, first_row: int = 0) -> Array:
        """(…, bands) to (…, components), float32.

        Raises:
            ValueError: another number of bands, or numbers that are not finite, with the place of the first.
        """
        if spectra.shape[-1] != len(self.mean):
            raise ValueError(f"this network was trained on {len(self.mean)} bands; the scene has {spectra.shape[-1]}")
        values = np.asarray(spectra, dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # told below, with the place
            reduced = np.asarray((values - self.mean) @ self.matrix, dtype=np.float32)
        if not np.isfinite(reduced).all():
            raise ValueError(_not_finite(values, first_row))
        return reduced

    def scene(self, cube: Cube) -> Array:
        """A whole cube (rows, columns, bands) to (components, rows, columns), reading a part at a time."""
        rows, columns, _ = cube.shape
        reduced = np.empty((self.components, rows, columns), dtype=np.float32)
        for first, strip in strips(cube):
            reduced[:, first : first + len(strip)] = np.moveaxis(self(strip, first_row=first), -1, 0)
        return reduced


def _not_finite(values: Array, first_row: int) -> str:
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return "the reduced spectra are too large for float32: scale the scene"
    place = np.argwhere(wrong.any(axis=-1))[0]
    where = f"row {first_row + place[0]}, column {place[1]}" if len(place) == 2 else f"training pixel {place[0]}"
    count = int(wrong.any(axis=-1).sum())
    return f"the scene has NaN or infinite numbers in {count} or more pixels, first at {where}: fill or mask them"


def fit(spectra: Iterable[Array], kind: Kind, components: int) -> Reduction:
    """A reduction fitted on spectra that come in parts, each (…, bands); they are read once.

    ``pca`` projects on the directions of largest variance and scales each to variance 1 (whitening), as the HybridSN
    notebook does. ``standardize`` keeps every band, at mean 0 and variance 1; ``components`` is then not used.

    Raises:
        ValueError: more components than there are bands that vary, or numbers that are not finite.
    """
    mean, covariance = _moments(spectra)
    bands = len(mean)
    varying = np.diag(covariance) > 1e-12 * max(np.diag(covariance).max(), 1e-300)
    if kind == "standardize":
        scale = np.where(varying, np.sqrt(np.where(varying, np.diag(covariance), 1.0)), np.inf)
        return Reduction(mean.astype(np.float32), np.diag(1 / scale).astype(np.float32))
    if components > bands:
        raise ValueError(f"{components} components of {bands} bands: at most as many components as bands")
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
    if values[-1] <= 1e-12 * values[0]:
        usable = int((values > 1e-12 * values[0]).sum()) if values[0] > 0 else 0
        raise ValueError(f"{components} components, but the training pixels vary in {usable} directions only")
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), range(components)])  # so that machines agree
    return Reduction(mean.astype(np.float32), (vectors * signs / np.sqrt(values)).astype(np.float32))


def constant_bands(reduction_of: Iterable[Array]) -> list[int]:
    """Bands, counted from 0, that have one value in all the spectra."""
    low: Array | None = None
    high: Array | None = None
    for part in reduction_of:
        flat = part.reshape(-1, part.shape[-1])
        low = flat.min(axis=0) if low is None else np.minimum(low, flat.min(axis=0))
        high = flat.max(axis=0) if high is None else np.maximum(high, flat.max(axis=0))
    assert low is not None
    assert high is not None
    return np.flatnonzero(low == high).tolist()


def _moments(spectra: Iterable[Array]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and covariance, in float64 around the first part's mean: large offsets would cost digits."""
    count, origin = 0, None
    total: npt.NDArray[np.float64] | None = None
    products: npt.NDArray[np.float64] | None = None
    for part in spectra:
        flat = part.reshape(-1, part.shape[-1])
        if not np.isfinite(flat).all():
            raise ValueError(_not_finite(part, 0))
        origin = flat.mean(axis=0, dtype=np.float64) if origin is None else origin
        centred = flat - origin
        total = centred.sum(axis=0) + (0 if total is None else total)
        products = centred.T @ centred + (0 if products is None else products)
        count += len(flat)
    assert origin is not None
    assert total is not None
    assert products is not None
    if count < 2:
        raise ValueError("a reduction is fitted on at least two pixels")
    mean = total / count
    return origin + mean, (products - count * np.outer(mean, mean)) / (count - 1)
