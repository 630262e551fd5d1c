"""From an image file to the array that a network reads; numpy and Pillow only, so it runs where torch does not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]
"""Pixels of one picture: uint8, (height, width, 3), red first."""

Picture = str | Path | bytes | Image.Image | Pixels
"""What is taken as a picture: a file's path or content, a Pillow image, or an array (height, width[, 3]) of uint8."""

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tga", ".tif", ".tiff", ".webp"}
)
"""File name endings that are taken for pictures in a folder."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class UnreadablePicture(ValueError):
    """A file that holds no picture, or only a part of one."""


def open_picture(picture: Picture, *, at_least: int | None = None) -> Image.Image:
    """Decode a picture to RGB, turned upright (EXIF), whatever its mode: palette, grey, CMYK, 16 bits, float.

    Args:
        picture: file, bytes, Pillow image or array.
        at_least: shorter side in pixels that the caller needs; a large JPEG is then decoded at a reduced scale that
            keeps at least this much.

    Raises:
        UnreadablePicture: nothing could be decoded, or the data ends early.
        FileNotFoundError: there is no such file.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
            raise ValueError(f"an array picture is uint8 (height, width, 3); got {picture.dtype} {picture.shape}")
        return Image.fromarray(picture).convert("RGB")
    if isinstance(picture, Image.Image):
        return _to_rgb(picture)
    name = "picture" if isinstance(picture, bytes) else str(picture)
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            if at_least is not None:
                shorter = min(image.size)
                width, height = (-(-side * at_least // shorter) for side in image.size)
                image.draft(None, (width, height))
            return _to_rgb(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnreadablePicture(f"{name}: {reason}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, or 32 that hold 8 or 16; Pillow's own conversion would clip at 255
        deep = np.asarray(image).astype(np.int64)
        is_deep = image.mode != "I" or deep.max() > 255
        image = Image.fromarray((deep // 257 if is_deep else deep).clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.nan_to_num(np.asarray(image)).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a network's input: resize the shorter side, crop the centre, scale, normalize.

    The defaults are those of ImageNet networks. Normalized input is ``(pixels / scale - mean) / std``, with ``mean``
    and ``std`` in the order red, green, blue, and the channels then in the order that ``channels`` names.
    """

    size: int = 224
    resize: int = 256
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 255.0
    channels: Literal["RGB", "BGR"] = "RGB"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize:
            raise ValueError(
                f"the crop ({self.size}) must be at least 1 pixel and not exceed the resize ({self.resize})"
            )
        if self.interpolation not in _FILTERS:
            raise ValueError(f"unknown interpolation {self.interpolation!r}: one of {', '.join(_FILTERS)}")

    def pixels(self, picture: Picture) -> Pixels:
        """Decode, resize and crop one picture: uint8 (size, size, 3), what an exported file takes.

        Only the crop is computed, so a picture of extreme proportions costs no more than another.
        """
        image = open_picture(picture, at_least=2 * self.resize)
        box = self.box(*image.size)
        return np.array(image.resize((self.size, self.size), _FILTERS[self.interpolation], box=box))

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, in its own pixels, of what is kept of an upright picture of that size."""
        shorter = min(width, height)
        wide, high = self.resize * width // shorter, self.resize * height // shorter
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        return (
            left * width / wide,
            top * height / high,
            (left + self.size) * width / wide,
            (top + self.size) * height / high,
        )

    def __call__(self, picture: Picture) -> npt.NDArray[np.float32]:
        """A picture as a network's input: float32 (3, size, size)."""
        scaled = self.pixels(picture).astype(np.float32) / self.scale
        normal = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        ordered = normal[..., ::-1] if self.channels == "BGR" else normal
        return np.ascontiguousarray(ordered.transpose(2, 0, 1), dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """The inverse of :meth:`to_dict`; raises ``ValueError`` for names it does not know."""
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown preprocessing: {', '.join(sorted(unknown))}")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
