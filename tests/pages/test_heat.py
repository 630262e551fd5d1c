from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from riffle.pages.heat import LEVELS, UNSEEN, heat_levels, heat_over
from riffle.preprocessing import Preprocessing

CORNER = np.zeros((4, 4), np.float32)
CORNER[3, 0] = 5.0  # below, left


@pytest.mark.parametrize(
    ("size", "crop", "rows", "columns"),
    [
        ((100, 100), 32, (0, 64), (0, 64)),
        ((200, 100), 32, (0, 32), (16, 48)),  # a wide picture: its sides are not seen
        ((100, 200), 32, (16, 48), (0, 32)),
        ((100, 100), 16, (16, 48), (16, 48)),  # half the side is kept
        ((3200, 1600), 32, (0, 32), (16, 48)),
    ],
)
def test_heat_lies_on_what_the_preprocessing_keeps(size, crop, rows, columns):
    box = Preprocessing(size=crop, resize=32).box(*size)
    levels = heat_levels(CORNER, size, box)
    seen = np.argwhere(levels != UNSEEN)
    assert (seen.min(axis=0).tolist(), (seen.max(axis=0) + 1).tolist()) == (
        [rows[0], columns[0]],
        [rows[1], columns[1]],
    )
    hottest = np.argwhere(levels == LEVELS - 1)
    assert (hottest.mean(axis=0)[0] - rows[0]) / (rows[1] - rows[0]) > 0.75
    assert (hottest.mean(axis=0)[1] - columns[0]) / (columns[1] - columns[0]) < 0.25
    assert levels[rows[0], columns[1] - 1] == 0


def test_the_box_is_what_the_pixels_are_cut_from():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (128, 256, 3))
    preprocessing = Preprocessing(size=96, resize=128)
    left, top, right, bottom = preprocessing.box(256, 128)
    assert (left, top, right, bottom) == (80, 16, 176, 112)
    assert preprocessing.pixels(ramp)[0, [0, -1], 0].tolist() == [80, 175]


def test_colours_tell_hot_from_cold_from_unseen():
    address = heat_over(CORNER, (200, 100), (50, 0, 150, 100))
    assert len(address) < 3000
    with Image.open(BytesIO(b64decode(address.split(",")[1]))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    assert pixels.shape == (32, 64, 4)
    assert pixels[0, 47].tolist() == [13, 8, 135, int(255 * 0.6)]
    assert pixels[31, 16].tolist() == [240, 249, 33, int(255 * 0.5)]
    assert pixels[5, 3].tolist() == [128, 128, 128, int(255 * 0.75)]


def test_no_heat_is_no_picture():
    assert heat_over(np.zeros((4, 4), np.float32), (10, 10), (0, 0, 10, 10)) is None
