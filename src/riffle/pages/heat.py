"""Heat over a thumbnail, as a picture that is mostly transparent."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffle.pages.pictures import address_of

SIDE = 64
"""Longer side in pixels: heat is smooth, and a page enlarges it."""
LEVELS = 24
UNSEEN = LEVELS
"""The level after the hottest: what the preprocessing cuts off."""

# Along the heat: red, green, blue, opacity. The colours are four of matplotlib's map plasma, which everybody can tell
# apart: what is cold is dimmed and blue, also on a picture of warm colours.
_RAMP = ((13, 8, 135, 0.6), (156, 23, 158, 0.5), (237, 121, 83, 0.45), (240, 249, 33, 0.5))
_GREY = (128, 128, 128, 0.75)


def heat_over(
    heat: npt.NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float]
) -> str | None:
    """The heat as a ``data:`` address, to lie over a picture, shown at any size; None where it is 0 everywhere.

    Args:
        heat: (rows, columns), not negative; the largest value is the hottest colour.
        size: width and height of the upright picture.
        box: left, top, right and bottom, in its pixels, of what the heat covers; the rest is greyed.
    """
    if not heat.max() > 0:
        return None
    levels = heat_levels(heat, size, box)
    image = Image.frombytes("P", (levels.shape[1], levels.shape[0]), levels.tobytes())
    colours = np.array([*_ramp(), _GREY])
    image.putpalette(colours[:, :3].astype(np.uint8).tobytes())
    image.info["transparency"] = (255 * colours[:, 3]).astype(np.uint8).tobytes()
    return address_of(image)


def heat_levels(
    heat: npt.NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float]
) -> npt.NDArray[np.uint8]:
    """The level at each pixel of a small copy of the picture, 0 to ``LEVELS - 1`` or ``UNSEEN``: (height, width)."""
    shrink = SIDE / max(size)
    width, height = (max(1, round(side * shrink)) for side in size)
    left, right = (round(edge * width / size[0]) for edge in box[::2])
    top, bottom = (round(edge * height / size[1]) for edge in box[1::2])
    covered = (max(1, right - left), max(1, bottom - top))
    smooth = np.asarray(Image.fromarray(heat / heat.max()).resize(covered, Image.Resampling.BILINEAR))
    levels = np.full((height, width), UNSEEN, np.uint8)
    inside = levels[top : top + covered[1], left : left + covered[0]]
    inside[:] = np.rint(smooth[: inside.shape[0], : inside.shape[1]] * (LEVELS - 1))
    return levels


def _ramp() -> npt.NDArray[np.float64]:
    """Colour and opacity of each level."""
    at = np.linspace(0, len(_RAMP) - 1, LEVELS)
    return np.stack([np.interp(at, range(len(_RAMP)), column) for column in zip(*_RAMP, strict=True)], axis=1)
