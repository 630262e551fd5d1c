"""A whole scene in one pass, with the answers that window by window gives.

Neighbouring windows share nearly all of their pixels. A layer that treats every place alike and pads nothing may see
the scene instead of the windows: its map then holds each window's map as a part. So a network is taken as a *trunk* of
such layers and a *head*, from the first layer on that looks at a window as a whole. The trunk runs once over a part of
the scene; the head runs on windows of the trunk's map.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn

from riffle.scenes.trunk import channels_innermost, elements_per_pixel, parted, starts_in_3d
from riffle.scenes.windows import padded

MEMORY = 500 * 10**6
"""Bytes that a pass may take beyond the scene and its scores."""
HEAD_BYTES = 32 * 2**20
"""Bytes of windows that the head sees at once: larger batches are no faster."""
WORKSPACE = 3
"""What a layer of the trunk takes, in sizes of its input and output together: these and copies in another order."""

Progress = Callable[[int], None]
"""Told how many more pixels are done."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of pixels: first row and column, rows and columns."""

    row: int
    column: int
    rows: int
    columns: int


class Dense:
    """A patch network for whole scenes; see :func:`dense`."""

    def __init__(self, model: nn.Module, window: int, memory: int) -> None:
        self.model = deepcopy(model).eval()
        channels_innermost(self.model)
        self.window = window
        self.memory = memory
        self._parted: dict[int, tuple[nn.Sequential, nn.Sequential]] = {}

    @torch.inference_mode()
    def __call__(self, cube: Tensor, *, progress: Progress | None = None) -> Tensor:
        """Reduced scene (bands, rows, columns) to scores (classes, rows, columns).

        Raises:
            ValueError: the cube has not three axes, or there is too little memory for one window.
        """
        if cube.ndim != 3:
            raise ValueError(f"a scene here is (bands, rows, columns); got the shape {tuple(cube.shape)}")
        bands, rows, columns = cube.shape
        ground = padded(cube, self.window)
        border = self.window - 1
        scores: Tensor | None = None
        for tile in self.tiles(rows, columns, bands=bands):
            down = slice(tile.row, tile.row + tile.rows + border)
            right = slice(tile.column, tile.column + tile.columns + border)
            answer = self.tile(ground[:, down, right])
            if scores is None:
                scores = answer.new_empty(len(answer), rows, columns)
            scores[:, tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns] = answer
            if progress is not None:
                progress(tile.rows * tile.columns)
        assert scores is not None
        return scores

    @torch.inference_mode()
    def tile(self, part: Tensor) -> Tensor:
        """Scores (classes, rows, columns) of a part of a scene with its border: window - 1 more rows and columns."""
        trunk, head = self.parts(len(part))
        features = trunk(self._batch_of_one(part))[0]
        rows, columns = (side - self.window + 1 for side in part.shape[1:])
        high, wide = features.shape[-2] - rows + 1, features.shape[-1] - columns + 1
        views = features.unfold(-2, high, 1).unfold(-2, wide, 1)  # (…, rows, columns, high, wide), not a copy
        batch = max(1, HEAD_BYTES // (4 * features.shape[:-2].numel() * high * wide))
        down, right = max(1, batch // columns), min(batch, columns)
        scores: Tensor | None = None
        for row in range(0, rows, down):
            for column in range(0, columns, right):
                cut = views[..., row : row + down, column : column + right, :, :]
                shape = cut.shape[-4:-2]
                answer = head(cut.movedim((-4, -3), (0, 1)).flatten(0, 1).contiguous())
                if scores is None:
                    scores = answer.new_empty(answer.shape[1], rows, columns)
                scores[:, row : row + down, column : column + right] = answer.T.reshape(-1, *shape)
        assert scores is not None
        return scores

    def parts(self, bands: int) -> tuple[nn.Sequential, nn.Sequential]:
        """What runs on the scene, and what runs on windows of its map, for scenes of so many bands."""
        if bands not in self._parted:
            self._parted[bands] = parted(self.model, self.window, bands)
        return self._parted[bands]

    def tiles(self, rows: int, columns: int, *, bands: int) -> Iterator[Tile]:
        """Bands of whole rows where these fit into the memory, else rectangles that waste little on their borders.

        Raises:
            ValueError: not even one window fits.
        """
        border = self.window - 1
        example = torch.zeros(bands, self.window, self.window)
        each = 4 * WORKSPACE * elements_per_pixel(self.parts(bands)[0], self._batch_of_one(example))
        pixels = (self.memory - 2 * HEAD_BYTES) // each
        if pixels < self.window**2:
            least = (2 * HEAD_BYTES + self.window**2 * each) / 1e6
            raise ValueError(f"this network needs at least {least:.0f} MB for a pass; got {self.memory / 1e6:.0f} MB")
        side = isqrt(pixels)
        wide = columns if columns + border <= side else min(columns, side - border)
        high = min(rows, pixels // (wide + border) - border)
        for row in range(0, rows, high):
            for column in range(0, columns, wide):
                yield Tile(row, column, min(high, rows - row), min(wide, columns - column))

    def _batch_of_one(self, part: Tensor) -> Tensor:
        weight = next(self.model.parameters(), None)
        x = part[None] if weight is None else part[None].to(weight.device, weight.dtype)
        return x[:, None] if starts_in_3d(self.model) else x


def dense(model: nn.Module, *, window: int, memory: int = MEMORY) -> Dense:
    """The network for whole scenes: call it with (bands, rows, columns) to get scores (classes, rows, columns).

    Each pixel's scores are those of the window around it, with zeros outside the scene.

    Args:
        model: from windows (batch, bands, window, window), or (batch, 1, bands, window, window) where it begins with a
            3-D convolution, to scores (batch, classes); it is copied, and works in evaluation mode.
        window: side of the windows in pixels.
        memory: bytes that a pass may take beyond the scene and its scores.

    Raises:
        ValueError: the window is empty.
    """
    if window < 1:
        raise ValueError(f"a window has at least 1 pixel; got {window}")
    return Dense(model, window, memory)
