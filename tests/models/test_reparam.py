"""RepVGG and MobileOne: what their tables say beside counts, and their form with one convolution a block."""

from functools import partial

import pytest
import torch
from torch import nn

from peers import build
from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.compression import fuse
from riffle.layers.attention import SqueezeExcite, squeeze_excite
from riffle.layers.reparam import RepConv, RepUnit
from riffle.models.mobileone import MobileOne
from riffle.models.repvgg import RepVGG
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9

GATED = {
    "repvgg": partial(RepVGG, (1, 2, 1, 1), 0.25, 0.25, groups=2, gate=squeeze_excite()),
    "mobileone": partial(MobileOne, (0.25, 0.25, 0.25, 0.25), copies=2, gated=(0, 0, 5, 1)),
}


def units(network: nn.Module) -> list[RepUnit]:
    return [module for module in network.modules() if isinstance(module, RepUnit)]


@pytest.mark.parametrize("make", GATED.values(), ids=GATED.keys())
def test_branches_collapse_in_front_of_gates(make):
    network = randomize(make(num_classes=10))
    fused = fuse(network)
    assert not any(isinstance(module, RepConv | nn.BatchNorm2d) for module in fused.modules())
    assert sum(isinstance(module, SqueezeExcite) for module in fused.modules()) > 0
    assert relative_difference(network, fused) < TOLERANCE


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_the_fused_form_takes_the_weights_of_a_peers_fused_form(name):
    theirs = randomize(build("timm", name))
    for block in list(theirs.modules()):
        if hasattr(block, "reparameterize"):
            block.reparameterize()
    ours = fuse(zoo.create(name)).double()
    adopt(ours, theirs.state_dict())
    assert relative_difference(theirs, ours) < TOLERANCE


@pytest.mark.parametrize(("name", "groups"), [("repvgg_b1", 1), ("repvgg_b2g2", 2), ("repvgg_b3g4", 4)])
def test_every_second_layer_has_groups(name, groups):
    """Section 3.4 of RepVGG: the 3rd, 5th, ... 27th of 28."""
    with torch.device("meta"):
        network = zoo.create(name)
    grouped = range(3, 28, 2)
    assert [u.conv.full.groups for u in units(network)] == [groups if n in grouped else 1 for n in range(1, 29)]


def test_the_last_blocks_of_mobileone_s4_have_gates():
    with torch.device("meta"):
        network = zoo.create("mobileone_s4")
    gated = [[hasattr(unit, "gate") for unit in units(stage)] for stage in (network.stem, *network.stages)]
    assert gated == [[False], [False] * 4, [False] * 16, [False] * 10 + [True] * 10, [True] * 2]


def test_over_parameterization_of_mobileone():
    """k convolutions in every unit, but one in the stem."""
    for name, k in [("mobileone_s0", 4), ("mobileone_s1", 1)]:
        with torch.device("meta"):
            network = zoo.create(name)
        assert [len(unit.conv.convs) for unit in units(network)] == [1] + [k] * 42
