"""Small scenes made by rule: patches of ground, each class with a spectrum of its own."""

import numpy as np

from riffle.scenes.scene import Scene


def field_scene(rows: int = 40, columns: int = 36, *, bands: int = 20, classes: int = 3, noise: float = 0.3) -> Scene:
    """Fields of 8 by 9 pixels in a chequered order; the first column of each field is unlabelled."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:rows, :columns]
    truth = (row // 8 + column // 9) % classes + 1
    spectra = rng.normal(size=(classes, bands))
    cube = spectra[truth - 1] + noise * rng.normal(size=(rows, columns, bands))
    truth[:, ::9] = 0
    return Scene("fields", (1000 + 100 * cube).astype(np.float32), truth, tuple(f"crop {i}" for i in range(classes)))
