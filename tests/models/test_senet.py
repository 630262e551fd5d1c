"""Squeezed widths, what the gates add, and how the layouts of SENets differ."""

import pytest
import torch
from torch import nn

from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.layers.attention import SqueezeExcite
from riffle.models.senet import SENetBottleneck
from riffle.weights.adopt import adopt

GATES = {  # blocks in each stage, and Table 1's "fc": squeezed width and channels
    "se_resnet50": [(3, 16, 256), (4, 32, 512), (6, 64, 1024), (3, 128, 2048)],
    "se_resnext50_32x4d": [(3, 16, 256), (4, 32, 512), (6, 64, 1024), (3, 128, 2048)],
    "se_resnet18": [(2, 4, 64), (2, 8, 128), (2, 16, 256), (2, 32, 512)],
    "senet154": [(3, 16, 256), (8, 32, 512), (36, 64, 1024), (3, 128, 2048)],
}
GATED = [
    # with gates, without
    ("se_resnet50", "resnet50_v1"),
    ("se_resnet50_v1_5", "resnet50"),
    ("se_resnext50_32x4d", "resnext50_32x4d"),
    ("se_resnet34", "resnet34"),
]


def shape_of(name: str) -> nn.Module:
    with torch.device("meta"):
        return zoo.create(name)


def gates_of(network: nn.Module) -> list[SqueezeExcite]:
    return [module for module in network.modules() if isinstance(module, SqueezeExcite)]


@pytest.mark.parametrize("name", GATES)
def test_every_branch_has_its_gate(name):
    for stage, (blocks, squeezed, channels) in zip(shape_of(name).stages, GATES[name], strict=True):
        assert [gate.squeeze.weight.shape[:2] for gate in gates_of(stage)] == [(squeezed, channels)] * blocks


@pytest.mark.parametrize(("gated", "plain"), GATED)
def test_the_gates_cost_what_equation_5_says(gated, plain):
    """2 / r times the sum of C^2 over the blocks; the equation leaves out the biases."""
    network = shape_of(gated)
    channels = [gate.squeeze.in_channels for gate in gates_of(network)]
    weights = sum(2 * c * c // 16 for c in channels)
    biases = sum(c + c // 16 for c in channels)
    counts = {name: zoo.count(name) for name in (gated, plain)}
    assert counts[gated]["params"] - counts[plain]["params"] == weights + biases
    assert counts[gated]["macs"] - counts[plain]["macs"] == weights
    if gated.startswith("se_resnet50"):
        assert (weights, biases) == (2_514_944, 16_048)  # the paper rounds to 2.5 million


def test_a_gate_stands_before_the_addition():
    block = randomize(zoo.create("se_resnet18")).stages[1][0]
    nn.init.zeros_(block.gate.excite.weight)
    nn.init.constant_(block.gate.excite.bias, -1e3)  # closed
    x = torch.randn(2, 64, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(block(x), block.shortcut(x).relu())


def test_the_authors_pooling_hangs_over_the_edge():
    authors, padded = shape_of("senet154").stem[-1], shape_of("senet154_v1_5").stem[-1]
    x = torch.arange(36.0).view(1, 1, 6, 6)  # the largest of a window is its lower right corner
    assert authors(x).flatten().tolist() == [14, 16, 17, 26, 28, 29, 32, 34, 35]
    assert padded(x).flatten().tolist() == [7, 9, 11, 19, 21, 23, 31, 33, 35]


def test_legacy_gates_stand_behind_a_relu():
    gates = {
        name: [unit.gate for stage in shape_of(name).stages for unit in stage]
        for name in ("se_resnet18", "se_resnet18_legacy")
    }
    assert [type(gate) for gate in gates["se_resnet18"]] == [SqueezeExcite] * 8
    assert [[type(layer) for layer in gate] for gate in gates["se_resnet18_legacy"]] == [[nn.ReLU, SqueezeExcite]] * 8


@pytest.mark.parametrize(
    ("one", "other"),
    [("se_resnet18", "se_resnet18_legacy"), pytest.param("se_resnet50", "se_resnet50_v1_5", marks=pytest.mark.slow)],
)
def test_weights_of_one_layout_are_wrong_in_another(one, other):
    first, second = randomize(zoo.create(one)), randomize(zoo.create(other), seed=1)
    adopt(second, first)
    assert relative_difference(first, second) > 1e-2


def test_senet154s_block():
    down, same = (
        SENetBottleneck(256, 128, 2, groups=64, group_width=4),
        SENetBottleneck(512, 128, groups=64, group_width=4),
    )
    assert [layer.conv.out_channels for layer in down.branch] == [256, 512, 512]
    assert [layer.conv.stride[0] for layer in down.branch] == [1, 2, 1]
    assert (down.shortcut.conv.kernel_size, down.shortcut.conv.stride) == ((3, 3), (2, 2))
    assert isinstance(same.shortcut, nn.Identity)
    first = SENetBottleneck(128, 64, groups=64, group_width=4).shortcut  # conv2_1 widens only
    assert (first.conv.kernel_size, first.conv.stride) == ((1, 1), (1, 1))


def test_senet154_has_dropout():
    network = shape_of("senet154")
    assert network.classifier[0].p == 0.2
    assert [unit.conv.out_channels for unit in list(network.stem)[:3]] == [64, 64, 128]
