"""scikit-learn's 1,797 handwritten digits of 8 x 8 pixels in 16 greys: pictures that need no download."""

from io import BytesIO

import numpy as np
from PIL import Image

from riffle.data.listing import Listing, Part


def list_digits() -> Listing:
    """The digits as PNG files in memory."""
    import datasets  # seconds to import, so only where pictures are read
    from sklearn.datasets import load_digits

    bunch = load_digits()
    names = [f"digit-{index:04d}.png" for index in range(len(bunch.images))]
    images = []
    for name, grey in zip(names, bunch.images, strict=True):
        png = BytesIO()
        Image.fromarray((grey * (255 / 16)).astype(np.uint8)).save(png, "PNG")
        images.append({"path": name, "bytes": png.getvalue()})
    features = datasets.Features({"name": datasets.Value("string"), "image": datasets.Image(decode=False)})
    table = datasets.Dataset.from_dict({"name": names, "image": images}, features=features)
    classes = tuple(str(digit) for digit in range(10))
    return Listing("digits", "", {"": Part(table, [classes[digit] for digit in bunch.target])}, classes)
