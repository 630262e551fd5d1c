"""Pictures that are the same: byte for byte, or to the eye, re-encoded or resized."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

from riffle.preprocessing import open_picture

SIDE, LOW = 32, 8
"""Pixels of the grey picture that is transformed, and of the low frequencies that are kept."""
BANDS = 4
"""Parts of a hash. Two that differ in fewer bits than there are parts agree in one part whole, where they are found."""
NEAR_BITS = BANDS - 1
"""Bits of 64 in which the hashes of one picture, encoded twice, may differ."""
NEAR_PIXELS = 8.0
"""Mean difference of two thumbnails, of 255, up to which they show the same."""
THUMBNAIL = 16


@dataclass(frozen=True, slots=True)
class Likeness:
    """What tells whether two files show the same picture."""

    content: str
    """Digest of the file's content."""
    hash: int
    """Signs of 64 low frequencies (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions)."""
    thumbnail: npt.NDArray[np.int16]
    """16 x 16 x 3 pixels: they keep apart what the hash confuses, flat pictures or one shape in two colours."""
    size: tuple[int, int]
    """Width and height in pixels, turned upright."""


def likeness(picture: str | Path | bytes) -> Likeness:
    """Read and decode a file, or its content.

    Raises:
        UnreadablePicture: nothing could be decoded, or the data ends early.
        OSError: the file cannot be read.
    """
    content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    image = open_picture(content)
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    low = dctn(grey, norm="ortho")[:LOW, :LOW].ravel()
    signs = low > np.median(low[1:])  # the first is the brightness, which decides nothing
    small = np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.int16)
    bits = int.from_bytes(np.packbits(signs).tobytes(), "big")
    return Likeness(hashlib.sha256(content).hexdigest(), bits, small, image.size)


def same_content(pictures: Sequence[Likeness]) -> list[list[int]]:
    """Groups of places whose files are equal byte for byte."""
    groups: dict[str, list[int]] = {}
    for index, picture in enumerate(pictures):
        groups.setdefault(picture.content, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(pictures: Sequence[Likeness]) -> list[tuple[int, int]]:
    """Pairs of places whose files differ and whose pictures look the same."""
    found = set()
    for first, second in _candidates([picture.hash for picture in pictures]):
        one, other = pictures[first], pictures[second]
        if one.content == other.content or (one.hash ^ other.hash).bit_count() > NEAR_BITS:
            continue
        if np.abs(one.thumbnail - other.thumbnail).mean() <= NEAR_PIXELS:
            found.add((first, second))
    return sorted(found)


def _candidates(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs that agree in a part of their hashes: few of all, and all that are near are among them."""
    width = LOW * LOW // BANDS
    for band in range(BANDS):
        buckets: dict[int, list[int]] = {}
        for index, value in enumerate(hashes):
            buckets.setdefault(value >> (band * width) & ((1 << width) - 1), []).append(index)
        for members in buckets.values():
            yield from combinations(members, 2)
