"""Counts of single layers, worked out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from riffle import zoo
from riffle.card import card_of
from riffle.layers.attention import SqueezeExcite
from riffle.layers.shuffle import ChannelShuffle, split_halves
from riffle.profiling.cost import profile


class Attention(nn.Module):
    def forward(self, x):
        return functional.scaled_dot_product_attention(x, x, x)


class ChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).contiguous()


LAYERS = [
    # layer, side of the picture, parameters, MACs
    (nn.Conv2d(3, 8, 3, padding=1), 10, 27 * 8 + 8, 27 * 8 * 100),
    (nn.Conv2d(3, 8, 3, bias=False), 10, 27 * 8, 27 * 8 * 64),
    (nn.Conv2d(3, 6, 3, padding=1, groups=3), 10, 9 * 6 + 6, 9 * 6 * 100),
    (nn.Conv2d(3, 3, 5, padding=2, groups=3, bias=False), 10, 25 * 3, 25 * 3 * 100),
    (nn.Conv2d(3, 8, 3, stride=2, padding=1), 10, 27 * 8 + 8, 27 * 8 * 25),
    (nn.Conv2d(3, 8, 3, stride=2, padding=1), 9, 27 * 8 + 8, 27 * 8 * 25),
    (nn.Conv2d(3, 8, 3, dilation=2), 10, 27 * 8 + 8, 27 * 8 * 36),
    (nn.Conv2d(3, 8, (1, 5)), 10, 15 * 8 + 8, 15 * 8 * 10 * 6),
    (nn.Sequential(nn.Flatten(), nn.Linear(48, 7)), 4, 48 * 7 + 7, 48 * 7),
    (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)), 6, 12 + 4 + 8, 12 * 36),
    (nn.Identity(), 6, 0, 0),
    (Attention(), 10, 0, 2 * 3 * 10 * 10 * 10),  # three heads of ten tokens: queries with keys, weights with values
    (SqueezeExcite(3, 2), 10, 3 * 2 + 2 + 2 * 3 + 3, 6 + 6),
]


class Halves(nn.Module):
    def forward(self, x):
        return torch.cat(split_halves(x), dim=1)


class Sum(nn.Module):
    def forward(self, x):
        return x + x


def counts(layer: nn.Module, **settings: int) -> tuple[int, int]:
    cost = profile(layer, **settings)
    return cost.params, cost.macs


@pytest.mark.parametrize(("layer", "size", "params", "macs"), LAYERS, ids=lambda value: str(value).split("\n")[0])
def test_by_hand(layer, size, params, macs):
    assert counts(layer, size=size) == (params, macs)
    assert counts(layer, size=size, batch=3) == (params, 3 * macs)


ACCESSES = [
    # layer, channels, elements read and written at 10 x 10
    (nn.Conv2d(4, 8, 1, bias=False), 4, 100 * (4 + 8) + 4 * 8),  # h w (c1 + c2) + c1 c2
    (nn.Conv2d(4, 8, 1, groups=2, bias=False), 4, 100 * (4 + 8) + 4 * 8 // 2),
    (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), 4, 100 * (4 + 4) + 9 * 4),
    (nn.Conv2d(4, 8, 3, stride=2, padding=1), 4, 100 * 4 + 25 * 8 + 9 * 4 * 8 + 8),
    (nn.BatchNorm2d(4), 4, 2 * 400 + 4 * 4),  # weight, bias, mean and variance of each channel
    (nn.ReLU(), 4, 800),
    (nn.ReLU(inplace=True), 4, 800),
    (nn.MaxPool2d(2), 4, 400 + 100),
    (nn.AdaptiveAvgPool2d(1), 4, 400 + 4),
    (nn.Sequential(nn.Flatten(), nn.Linear(400, 7)), 4, 400 + 7 + 400 * 7 + 7),  # flattening is a view
    (ChannelShuffle(2), 4, 800),  # everything is moved once
    (Halves(), 4, 2 * 400),  # splitting is a view, joining is not
    (Sum(), 4, 3 * 400),
    (ChannelsLast(), 4, 800),  # permuting is a view, writing the other order is not
    (nn.Conv2d(4, 8, 3, padding=2, dilation=2, bias=False), 4, 100 * (4 + 8) + 9 * 4 * 8),
    (nn.ConvTranspose2d(4, 8, 2, stride=2, bias=False), 4, 100 * 4 + 400 * 8 + 4 * 4 * 8),
    (nn.Hardswish(), 4, 800),
    (nn.AvgPool2d(2), 4, 400 + 100),
    (nn.LayerNorm([4, 10, 10], elementwise_affine=False), 4, 800),
    # mean, squeeze with bias, ReLU, excite with bias, sigmoid, product with the gate
    (SqueezeExcite(4, 2), 4, (400 + 4) + (4 + 2 + 8 + 2) + 4 + (2 + 4 + 8 + 4) + 8 + (400 + 4 + 400)),
    # queries and keys are scaled, two products read two and write one, softmax between them
    (Attention(), 4, 2 * 800 + 2 * 1200 + 800),
]


@pytest.mark.parametrize(("layer", "channels", "elements"), ACCESSES, ids=lambda value: str(value).split("\n")[0])
def test_memory_access_by_hand(layer, channels, elements):
    assert profile(layer, size=10, in_channels=channels).memory_access == elements


def test_channels_of_the_input():
    assert counts(nn.Conv2d(5, 2, 1, bias=False), size=4, in_channels=5) == (10, 160)


def test_frozen_weights_count_and_shared_ones_count_once():
    conv = nn.Conv2d(3, 3, 1, bias=False).requires_grad_(False)
    assert counts(nn.Sequential(conv, conv), size=2) == (9, 2 * 9 * 4)


def test_the_network_stays_as_it_is():
    network = zoo.create("shufflenet_v2_x0_5", num_classes=2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    card = card_of(network)
    profile(network, size=64)
    assert network.training
    assert card_of(network) is card
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_without_memory_is_counted_too():
    with torch.device("meta"):
        layer = nn.Conv2d(3, 8, 1)
    assert counts(layer, size=4) == (32, 24 * 16)
