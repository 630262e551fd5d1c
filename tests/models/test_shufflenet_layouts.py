"""Weights of ShuffleNet V2 from one layout to the other: equal scores, and bit for bit the same on the way back."""

from itertools import chain

import pytest
import torch
from torch import nn

from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.card import card_of
from riffle.compression import fuse
from riffle.layers.attention import CBAM
from riffle.models.shufflenet_v2 import ShuffleNetV2
from riffle.models.shufflenet_v2_layouts import to_authors_layout, to_torchvision_layout

TOLERANCE = 1e-9
LAYOUTS = [
    ("shufflenet_v2_x0_5", to_authors_layout, to_torchvision_layout),
    ("shufflenet_v2_x0_5_authors", to_torchvision_layout, to_authors_layout),
]


@pytest.mark.parametrize(("name", "there", "back"), LAYOUTS)
@pytest.mark.parametrize("seed", range(2))
def test_layouts_convert_there_and_back(name, there, back, seed):
    network = randomize(zoo.create(name, num_classes=7, in_channels=2), seed=seed)
    other = there(network)
    assert relative_difference(network, other, (2, 64, 64)) < TOLERANCE
    assert card_of(other).name == {n for n, _, _ in LAYOUTS}.difference({name}).pop()
    again = back(other)
    assert type(again) is type(network)
    assert card_of(again) == card_of(network)
    states = network.state_dict(), again.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(("name", "there", "back"), LAYOUTS)
def test_layouts_are_different(name, there, back):
    """Without the new order of the channels the same tensors give other scores."""
    network = randomize(zoo.create(name))
    other = there(network)
    for unit, old in zip(chain(*other.stages), chain(*network.stages), strict=True):
        for part, tensors in old.named_children():
            getattr(unit, part).load_state_dict(tensors.state_dict())
    assert relative_difference(network, other) > 1e-3


def test_converting_changes_nothing_in_place_and_keeps_what_was_done_before():
    network = fuse(randomize(zoo.create("shufflenet_v2_x0_5_authors")))
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    other = to_torchvision_layout(network)
    assert relative_difference(network, other) < TOLERANCE
    assert not any(isinstance(module, nn.BatchNorm2d) for module in other.modules())
    assert card_of(other).rewrites == ("fuse",)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("network", "convert", "why"),
    [
        (lambda: zoo.create("shufflenet_v2_x1_0"), to_authors_layout, "24 to 58 and the authors' to 24"),
        (lambda: zoo.create("shufflenet_v2_x2_0_authors"), to_torchvision_layout, "24 to 122 and the authors' to 24"),
        (lambda: zoo.create("shufflenet_v2_x0_5"), to_torchvision_layout, "got ShuffleNetV2"),
        (lambda: zoo.create("shufflenet_v2_x0_5_authors"), to_authors_layout, "got AuthorsShuffleNetV2"),
        (lambda: ShuffleNetV2((48, 96, 192, 1024), gate=CBAM), to_authors_layout, "gates"),
    ],
)
def test_what_cannot_be_converted(network, convert, why):
    with torch.device("meta"):
        made = network()
    with pytest.raises(ValueError, match=why):
        convert(made)
