import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

import riffle
from riffle.data.images import read
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing
from riffle.training import features

SEEN = Preprocessing(size=32, resize=32)


def features_of(network, pictures, preprocessing, accelerator, folder):
    (found,) = features.features_of(network, [pictures], preprocessing, accelerator, folder=folder)
    return found


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return riffle.create("shufflenet_v2_x0_25", num_classes=3)


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """How many pictures went through the network, call by call."""
    counts: list[int] = []
    original = features._computed

    def counting(network, pictures, *rest):
        counts.append(len(pictures))
        return original(network, pictures, *rest)

    monkeypatch.setattr(features, "_computed", counting)
    return counts


def test_features_are_what_reaches_the_classifier(network, folder_of_digits, tmp_path):
    pictures = read(folder_of_digits).train
    found = features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path)
    network.eval()
    pixels = torch.from_numpy(np.stack([SEEN.pixels(picture) for picture in pictures]))
    with torch.no_grad():
        assert torch.allclose(network.classifier(found), network(PixelInput(SEEN)(pixels)), atol=1e-5)


def test_they_are_computed_once_and_again_for_what_is_new(network, folder_of_digits, tmp_path, computed):
    split = read(folder_of_digits)
    taken = lambda pictures: features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path)  # noqa: E731
    first = taken(split.train)
    assert torch.equal(taken(split.train), first)
    again = read(folder_of_digits, seed=1)  # another split of the same pictures
    mixed = taken(again.train)
    rows = {split.train[index]: row for index, row in enumerate(first)}
    shared = [index for index, picture in enumerate(again.train) if picture in rows]
    assert computed == [48, 48 - len(shared)]
    assert all(torch.equal(mixed[index], rows[again.train[index]]) for index in shared)
    path = folder_of_digits / "digit 0" / "0000.png"
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(path)  # the same name, another picture
    taken(read(folder_of_digits).train)
    taken(read(folder_of_digits).validation)
    assert sum(computed[2:]) == 12 - (48 - len(shared)) + 1


def test_other_weights_and_other_preprocessing_find_nothing(network, folder_of_digits, tmp_path, computed):
    pictures = read(folder_of_digits).validation
    features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path)
    features_of(network, pictures, Preprocessing(size=32, resize=36), Accelerator(), folder=tmp_path)
    other = riffle.create("shufflenet_v2_x0_25", num_classes=3)
    features_of(other, pictures, SEEN, Accelerator(), folder=tmp_path)
    with torch.no_grad():
        network.classifier.weight.add_(1)  # the head is no part of it
    features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path)
    assert computed == [12, 12, 12]


def test_a_damaged_cache_is_made_anew(network, folder_of_digits, tmp_path, computed):
    pictures = read(folder_of_digits).validation
    first = features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert torch.equal(features_of(network, pictures, SEEN, Accelerator(), folder=tmp_path), first)
    assert computed == [12, 12]
    assert file.read_bytes() == whole


def test_parts_of_the_data_come_each_in_its_order(network, folder_of_digits, tmp_path, computed):
    split = read(folder_of_digits)
    parts = [split.train, split.validation]
    together = features.features_of(network, parts, SEEN, Accelerator(), folder=tmp_path)
    assert computed == [48, 12]
    for part, found in zip(parts, together, strict=True):
        assert torch.equal(features_of(network, part, SEEN, Accelerator(), folder=tmp_path), found)
    assert computed == [48, 12]
