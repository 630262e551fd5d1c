"""Windows of a reduced scene, cut when they are needed: no array of all windows is ever made."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from riffle.scenes.splits import Pixels

SYMMETRIES = 8
"""Of a square: four turns, each plain and mirrored."""


def padded(cube: Tensor, window: int) -> Tensor:
    """(bands, rows, columns) with zeros around, so that every pixel is the middle of a window.

    A window's middle is at ``window // 2``: of even windows the later of the two. Zeros are a reduced scene's mean.
    """
    before, after = window // 2, window - 1 - window // 2
    return F.pad(cube, (before, after, before, after))


def turned(x: Tensor, symmetry: int) -> Tensor:
    """Rows and columns, the last two axes, under one of the eight symmetries of a square; 0 leaves them alone."""
    x = x.rot90(symmetry % 4, (-2, -1))
    return x.flip(-1) if symmetry >= 4 else x


class Windows:
    """Windows around the pixels of one reduced scene."""

    def __init__(self, cube: Tensor, window: int) -> None:
        self.rows, self.columns = cube.shape[1:]
        self.window = window
        # Every window as a view of the padded scene: (bands, rows, columns, window, window), without a copy.
        self._views = padded(cube, window).unfold(1, window, 1).unfold(2, window, 1)

    def cut(self, pixels: Pixels, symmetries: Pixels | None = None) -> Tensor:
        """(pixels, bands, window, window), each window turned by its symmetry where these are given."""
        rows, columns = np.divmod(pixels, self.columns)
        cut = self._views[:, torch.from_numpy(rows), torch.from_numpy(columns)].movedim(1, 0)
        if symmetries is None:
            return cut.contiguous()
        return torch.stack([turned(one, int(symmetry)) for one, symmetry in zip(cut, symmetries, strict=True)])
