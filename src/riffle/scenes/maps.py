"""Pictures of a scene: false colour, classes, errors, confidence; as PNG and as GeoTIFF."""

import colorsys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffle.files import replacing
from riffle.scenes.scene import Georeference, Scene, strips

Picture = npt.NDArray[np.uint8]
"""RGB (rows, columns, 3)."""

RGB_NM = (650.0, 550.0, 450.0)
"""Wavelengths of red, green and blue."""
MOST_SIDE = 2000
"""Longer side in pixels of a picture: of larger scenes every n-th pixel is shown."""
UNLABELLED = (0, 0, 0)


def palette(classes: int) -> Picture:
    """(classes + 1, 3): black for unlabelled, then hues that lie far apart, in three brightnesses."""
    golden = 0.618034  # turns by the golden ratio never come close to one another
    colours = [
        colorsys.hsv_to_rgb(index * golden % 1, (0.85, 0.55)[index % 2], (1.0, 0.75, 0.9)[index % 3])
        for index in range(classes)
    ]
    return np.array([UNLABELLED, *[tuple(round(255 * part) for part in colour) for colour in colours]], dtype=np.uint8)


def false_colour(scene: Scene) -> Picture:
    """Red, green and blue where the wavelengths are known, else three bands spread over the spectrum."""
    if scene.wavelengths and max(scene.wavelengths) >= min(RGB_NM):
        bands = [int(np.abs(np.array(scene.wavelengths) - nm).argmin()) for nm in RGB_NM]
    else:
        bands = [scene.bands * part // 8 for part in (2, 1, 0)]
    step = stride(scene.size)
    parts = [strip[-first % step :: step, ::step][..., bands] for first, strip in strips(scene.cube)]
    image = np.concatenate(parts)
    low, high = np.nanpercentile(image, (2, 98), axis=(0, 1))
    scaled = np.nan_to_num((image - low) / np.maximum(high - low, 1e-12))
    return np.asarray(255 * scaled.clip(0, 1), dtype=np.uint8)


def stride(size: tuple[int, int]) -> int:
    """Of a scene of that size every so many-th pixel is shown."""
    return max(1, -(-max(size) // MOST_SIDE))


def coloured(labels: npt.NDArray[Any], classes: int) -> Picture:
    """A map of classes, 0 unlabelled."""
    step = stride((labels.shape[0], labels.shape[1]))
    return np.asarray(palette(classes)[labels[::step, ::step]])


def errors(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Picture:
    """Right pixels in dark green, wrong ones in red, unlabelled ones black."""
    picture = np.zeros((*truth.shape, 3), dtype=np.uint8)
    picture[truth > 0] = (20, 90, 50)
    picture[(truth > 0) & (truth != predicted)] = (230, 40, 40)
    step = stride((truth.shape[0], truth.shape[1]))
    return picture[::step, ::step]


def grey(shares: npt.NDArray[Any]) -> Picture:
    """Numbers from 0 to 1 as grey."""
    step = stride((shares.shape[0], shares.shape[1]))
    level = np.asarray(255 * np.asarray(shares[::step, ::step], dtype=np.float32).clip(0, 1), dtype=np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def write_png(picture: Picture, path: Path) -> None:
    """A picture, whole or not at all."""
    with replacing(path) as draft:
        Image.fromarray(picture).save(draft, "PNG")


@contextmanager
def geotiff(
    path: Path, size: tuple[int, int], where: Georeference | None, *, kind: str, bands: int = 1
) -> Iterator[Any]:
    """A GeoTIFF to write windows into; it takes its place when the block ends well.

    Raises:
        ValueError: rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.transform import Affine
    except ImportError as error:
        raise ValueError("writing GeoTIFF needs the package rasterio: pip install 'riffle-vision[scenes]'") from error
    place = {} if where is None else {"crs": where.crs, "transform": Affine(*where.transform)}
    options = {"driver": "GTiff", "height": size[0], "width": size[1], "count": bands, "dtype": kind}
    with replacing(path) as draft, rasterio.open(draft, "w", compress="deflate", **options, **place) as file:
        yield file
