"""Both forms of CBAM: their parameters by hand, and their equations as plain functions."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.compression import fuse
from riffle.layers.attention import CBAM
from riffle.layers.conv import ConvNormAct

# Channels 64, squeezed to 4: two layers of 64 x 4 weights, a 7x7 kernel over two maps; then what the release adds.
PAPER = 2 * 64 * 4 + 7 * 7 * 2
RELEASED = PAPER + (4 + 64) + 2  # biases of both layers, weight and bias of the norm
FORMS = [(False, PAPER), (True, RELEASED)]

BLOCKS_50 = {256: 3, 512: 4, 1024: 6, 2048: 3}
SIDES_50 = {256: 56, 512: 28, 1024: 14, 2048: 7}


def described(gate: CBAM, x: Tensor, *, released: bool, space_first: bool = False) -> Tensor:
    """Equations 1 to 3."""
    tensors = {name: tensor for name, tensor in gate.state_dict().items() if tensor.ndim}
    if released:
        w1, b1, w2, b2, kernel, gamma, beta, mean, variance = tensors.values()
    else:
        w1, w2, kernel = tensors.values()
        b1 = b2 = beta = mean = torch.zeros(1, dtype=x.dtype)
        gamma, variance = torch.ones(1, dtype=x.dtype), torch.full((1,), 1 - 1e-5, dtype=x.dtype)

    def perceptron(v: Tensor) -> Tensor:
        return F.relu(v @ w1[:, :, 0, 0].T + b1) @ w2[:, :, 0, 0].T + b2

    def channel(x: Tensor) -> Tensor:
        weights = torch.sigmoid(perceptron(x.mean((2, 3))) + perceptron(x.amax((2, 3))))
        return x * weights[:, :, None, None]

    def space(x: Tensor) -> Tensor:
        maps = [x.amax(1), x.mean(1)] if released else [x.mean(1), x.amax(1)]
        y = F.conv2d(torch.stack(maps, dim=1), kernel, padding=3)
        return x * torch.sigmoid((y - mean) / torch.sqrt(variance + 1e-5) * gamma + beta)

    return channel(space(x)) if space_first else space(channel(x))


@pytest.mark.parametrize(("released", "params"), FORMS)
def test_parameters_by_hand(released, params):
    assert sum(p.numel() for p in CBAM(64, released=released).parameters()) == params


@pytest.mark.parametrize(("released", "params"), FORMS)
def test_channel_comes_before_space(released, params):
    gate = randomize(CBAM(64, released=released))
    described_so = partial(described, gate, released=released)
    assert relative_difference(gate, described_so, (64, 6, 6)) < 1e-9
    assert relative_difference(gate, partial(described_so, space_first=True), (64, 6, 6)) > 1e-3


def test_the_norm_folds_into_the_7x7_convolution():
    gate = randomize(CBAM(64, released=True))
    folded = fuse(gate)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert relative_difference(gate, folded, (64, 6, 6)) < 1e-9


@pytest.mark.parametrize(
    ("name", "plain", "released"),
    [("cbam_resnet50", "resnet50", True), ("cbam_resnet50_paper", "resnet50_v1", False)],
)
def test_what_the_gates_add_to_resnet50(name, plain, released):
    weights = sum(blocks * 2 * c * c // 16 for c, blocks in BLOCKS_50.items())
    extras = sum(blocks * (c + c // 16 + 2) for c, blocks in BLOCKS_50.items()) if released else 0
    kernels = 98 * sum(BLOCKS_50.values())
    over_places = 98 * sum(blocks * SIDES_50[c] ** 2 for c, blocks in BLOCKS_50.items())
    gated, bare = zoo.count(name), zoo.count(plain)
    assert gated["params"] - bare["params"] == weights + kernels + extras
    assert gated["macs"] - bare["macs"] == 2 * weights + over_places  # the perceptron sees means and maxima
    assert gated["params"] == (28_089_624 if released else 28_073_544)


def test_which_networks_have_which_form():
    for name in zoo.names("cbam_*resne*"):
        with torch.device("meta"):
            gates = [module for module in zoo.create(name).modules() if isinstance(module, CBAM)]
        released = not name.endswith("_paper")
        assert gates
        assert all(gate.space.maximum_first == released for gate in gates)
        assert all((gate.channel.perceptron[0].bias is not None) == released for gate in gates)
        assert all(isinstance(gate.space.conv, ConvNormAct) == released for gate in gates)
