import numpy as np
import pytest
import torch

from riffle.layers.pixel_input import Normalize, PixelInput, to_images
from riffle.preprocessing import Preprocessing

CONVENTIONS = {
    "ImageNet": {},
    "blue first": {"channels": "BGR"},
    "0 to 255, blue first": {"channels": "BGR", "scale": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    "-1 to 1": {"scale": 1.0, "mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0)},
}


@pytest.fixture(params=CONVENTIONS.values(), ids=CONVENTIONS.keys())
def preprocessing(request):
    return Preprocessing(size=48, resize=56, **request.param)


def test_equals_the_preprocessing_of_a_photograph(preprocessing, photo):
    expected = preprocessing(photo)
    pixels = torch.from_numpy(np.stack([preprocessing.pixels(photo), preprocessing.pixels(photo[:, ::-1])]))
    network_input = PixelInput(preprocessing)(pixels)
    assert network_input.shape == (2, 3, 48, 48)
    assert network_input.dtype == torch.float32
    np.testing.assert_allclose(network_input[0].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(network_input[1].numpy() - expected).max() > 0.1


def test_white_may_be_one(preprocessing, photo):
    pixels = torch.from_numpy(preprocessing.pixels(photo)[None].copy())
    images = to_images(pixels) / 255
    expected = PixelInput(preprocessing)(pixels)
    torch.testing.assert_close(Normalize(preprocessing, white=1.0)(images), expected, rtol=1e-5, atol=2e-5)


def test_adds_nothing_to_a_networks_weights(preprocessing):
    assert PixelInput(preprocessing).state_dict() == {}
