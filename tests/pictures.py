"""Pictures for tests, made from what scikit-learn brings."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

REPOSITORY = Path(__file__).parents[1]


def write_digits(folder: Path, *, classes: int, each: int) -> Path:
    """Class folders with handwritten digits as PNG files."""
    bunch = load_digits()
    for digit in range(classes):
        (folder / f"digit {digit}").mkdir(parents=True)
        for index in np.flatnonzero(bunch.target == digit)[:each]:
            grey = Image.fromarray((bunch.images[index] * 15.9).astype(np.uint8))
            grey.resize((24, 24)).save(folder / f"digit {digit}" / f"{index:04d}.png")
    return folder


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture's file content."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
