"""Which pixels are learned from and which are judged, and how far the two overlap.

Pixels drawn at random from one scene are neighbours: nearly every test pixel then lies inside a window that the network
was trained on. Splitting by blocks, with a guard band between them, keeps the two apart.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from riffle.scenes.scene import Truth

Pixels = npt.NDArray[np.int64]
"""Indices of pixels, counted row by row."""
Mask = npt.NDArray[np.bool_]
Guard = Literal["half", "full"]

LEAST = 5
"""Pixels that a class needs on either side of a split."""
DRAWS = 400
"""Ways of dealing out blocks that are tried; the one that keeps most classes, and pixels on both sides, is taken."""


@dataclass(frozen=True)
class Split:
    """Pixels to learn from, to choose the best epoch by, and to judge on."""

    train: Pixels
    validation: Pixels
    test: Pixels
    left_out: tuple[int, ...] = ()
    """Classes (1, 2, …) that are on neither side because they have too few pixels for both."""

    @property
    def seen(self) -> Pixels:
        """Pixels whose windows and classes the training knows."""
        return np.concatenate([self.train, self.validation])


def random_split(truth: Truth, share: float | int, *, validation: float, seed: int) -> Split:
    """Pixels drawn at random from each class, as most papers do it.

    Args:
        truth: (rows, columns), 0 unlabelled.
        share: part of each class to learn from, or, as a whole number from 1, pixels of each class.
        validation: part of the training pixels to choose the best epoch by.
        seed: of the draw.

    Raises:
        ValueError: a class has fewer pixels than the two sides need.
    """
    rng = np.random.default_rng(seed)
    flat = truth.ravel()
    learned, test = [], []
    for label in _classes(flat):
        pixels = rng.permutation(np.flatnonzero(flat == label))
        count = share if isinstance(share, int) else max(1, round(share * len(pixels)))
        if count >= len(pixels):
            raise ValueError(
                f"class {label} has {len(pixels)} pixels: too few for {count} to learn from and some to test"
            )
        learned.append(pixels[:count])
        test.append(pixels[count:])
    train, held = _carve(learned, validation)
    return Split(train, held, np.concatenate(test))


def block_split(truth: Truth, share: float | int, *, block: int, reach: int, validation: float, seed: int) -> Split:
    """Whole blocks go to training or test, and between the two lies a guard band.

    The grid's origin and the blocks that are for training are drawn many times. The draw that keeps the most classes is
    taken, of equals the one with the largest product of training and test pixels; accuracy plays no part. From the
    training blocks, ``share`` of each class is learned from; test pixels are those outside them and further than
    ``reach`` from every pixel learned from.

    Args:
        truth: (rows, columns), 0 unlabelled.
        share: part of each class to learn from, or pixels of each class; less where the blocks have less.
        block: side of a block in pixels.
        reach: width of the guard band: half a window keeps test pixels out of training windows, a whole window less
            one keeps windows from sharing a pixel.
        validation: part of the training pixels to choose the best epoch by.
        seed: of the draw.

    Raises:
        ValueError: fewer than two classes can stand on both sides.
    """
    rng = np.random.default_rng(seed)
    best: tuple[tuple[int, int], Mask, Split] | None = None
    for _ in range(DRAWS):
        blocks = _deal(truth.shape, block, rng)
        split = _dealt(truth, blocks, share, reach, rng)
        rank = (-len(split.left_out), len(split.train) * len(split.test))
        if best is None or rank > best[0]:
            best = rank, blocks, split
    assert best is not None
    chosen = best[2]
    if len(_classes(truth.ravel()[chosen.test])) < 2:
        raise ValueError(
            f"no way to part the scene into blocks of {block} pixels with a guard band of {reach}: smaller blocks, a "
            "smaller window, or a random split"
        )
    of_class = [chosen.train[truth.ravel()[chosen.train] == label] for label in _classes(truth.ravel()[chosen.train])]
    train, held = _carve(of_class, validation)
    return Split(train, held, chosen.test, chosen.left_out)


def overlap(split: Split, shape: tuple[int, int], window: int) -> float:
    """Percent of the test pixels that lie inside the window of a pixel learned from."""
    covered = near(_mask(split.seen, shape), window // 2)
    return 100.0 * float(covered.ravel()[split.test].mean())


def near(mask: Mask, reach: int) -> Mask:
    """Pixels that have a marked one at most ``reach`` rows and columns away: sums over boxes tell."""
    rows, columns = mask.shape
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, bottom = np.maximum(np.arange(rows) - reach, 0), np.minimum(np.arange(rows) + reach + 1, rows)
    left, right = np.maximum(np.arange(columns) - reach, 0), np.minimum(np.arange(columns) + reach + 1, columns)
    counts = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    return np.asarray(counts > 0)


def _deal(shape: tuple[int, ...], block: int, rng: np.random.Generator) -> Mask:
    """A mask of the training blocks: a part of all blocks, between a tenth and a half, on a grid of random origin."""
    row, column = rng.integers(block, size=2)
    numbers = np.add.outer(
        (np.arange(shape[0]) + row) // block * (shape[1] // block + 2), (np.arange(shape[1]) + column) // block
    )
    training = rng.random(numbers.max() + 1) < rng.uniform(0.1, 0.5)
    return np.asarray(training[numbers])


def _dealt(truth: Truth, blocks: Mask, share: float | int, reach: int, rng: np.random.Generator) -> Split:
    flat, inside = truth.ravel(), blocks.ravel()
    learned = []
    for label in _classes(flat):
        everywhere = flat == label
        pixels = rng.permutation(np.flatnonzero(everywhere & inside))
        learned.append(pixels[: share if isinstance(share, int) else max(1, round(share * int(everywhere.sum())))])
    train = np.concatenate(learned)
    free = (flat > 0) & ~inside & ~near(_mask(train, truth.shape), reach).ravel()
    counts = [np.bincount(flat[pixels], minlength=flat.max() + 1) for pixels in (train, np.flatnonzero(free))]
    left_out = [label for label in _classes(flat) if min(count[label] for count in counts) < LEAST]
    test = np.flatnonzero(free & ~np.isin(flat, left_out))
    return Split(train[~np.isin(flat[train], left_out)], train[:0], test, tuple(left_out))


def _carve(of_class: list[Pixels], validation: float) -> tuple[Pixels, Pixels]:
    """Training and validation pixels, the same part of each class; a class with few pixels keeps at least one."""
    counts = [min(round(validation * len(pixels)), len(pixels) - 1) for pixels in of_class]
    train = [pixels[count:] for pixels, count in zip(of_class, counts, strict=True)]
    held = [pixels[:count] for pixels, count in zip(of_class, counts, strict=True)]
    return np.concatenate(train), np.concatenate(held)


def _classes(flat: npt.NDArray[np.int64]) -> list[int]:
    return [int(label) for label in np.unique(flat) if label > 0]


def _mask(pixels: Pixels, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[pixels] = True
    return mask
