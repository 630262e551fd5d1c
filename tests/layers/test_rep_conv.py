"""Branches side by side and the one convolution that they become, in float64."""

from functools import partial

import pytest
import torch
from torch import nn

from random_networks import randomize, relative_difference
from riffle.layers.attention import squeeze_excite
from riffle.layers.reparam import RepConv, RepUnit, collapse

TOLERANCE = 1e-9
ALL = {"identity", "convs", "scale"}

UNITS = {
    "all three": (partial(RepConv, 6, 6), ALL),
    "another width": (partial(RepConv, 6, 9), ALL - {"identity"}),
    "stride 2": (partial(RepConv, 6, 6, stride=2), ALL - {"identity"}),
    "stride 2, another width": (partial(RepConv, 6, 9, stride=2), ALL - {"identity"}),
    "four copies": (partial(RepConv, 6, 6, copies=4), ALL),
    "groups": (partial(RepConv, 6, 6, groups=3), ALL),
    "groups, another width": (partial(RepConv, 6, 12, groups=3), ALL - {"identity"}),
    "groups, stride 2": (partial(RepConv, 6, 6, stride=2, groups=2), ALL - {"identity"}),
    "depthwise": (partial(RepConv, 6, 6, groups=6), ALL),
    "depthwise, stride 2, four copies": (partial(RepConv, 6, 6, stride=2, groups=6, copies=4), ALL - {"identity"}),
    "two filters a channel": (partial(RepConv, 6, 12, groups=6), ALL - {"identity"}),
    "kernel 1": (partial(RepConv, 6, 6, 1), ALL - {"scale"}),
    "kernel 1, groups, four copies": (partial(RepConv, 6, 6, 1, groups=2, copies=4), ALL - {"scale"}),
    "kernel 1, another width": (partial(RepConv, 6, 9, 1), {"convs"}),
    "kernel 5": (partial(RepConv, 6, 6, 5), ALL),
}


@pytest.mark.parametrize(("make", "branches"), UNITS.values(), ids=UNITS.keys())
@pytest.mark.parametrize("sides", [(9, 10), (8, 7)], ids=str)
def test_one_convolution_gives_what_the_branches_add_up_to(make, branches, sides):
    unit = randomize(make())
    assert {name for name, _ in unit.named_children()} == branches
    assert len(unit.branches()) == len(branches) - 1 + len(unit.convs)
    whole = collapse(unit)
    assert type(whole) is nn.Conv2d
    assert whole.kernel_size == unit.full.kernel_size
    assert relative_difference(unit, whole, (6, *sides)) < TOLERANCE


@pytest.mark.parametrize("missing", ["identity", "scale"])
def test_a_branch_left_out(missing):
    unit = randomize(RepConv(6, 6))
    full = collapse(unit)
    setattr(unit, missing, None)
    whole = collapse(unit)
    assert relative_difference(unit, whole, (6, 9, 10)) < TOLERANCE
    assert relative_difference(full, whole, (6, 9, 10)) > 1e-3


def with_plain_norms(unit: RepConv) -> RepConv:
    """Norms that pass everything, so that kernels can be worked out by hand."""
    for norm in unit.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 0.0
    return unit.eval()


def test_kernels_by_hand():
    unit = with_plain_norms(RepConv(1, 1, copies=2))
    for weight, value in [(unit.convs[0].conv.weight, 2.0), (unit.convs[1].conv.weight, 3.0)]:
        nn.init.constant_(weight, value)
    nn.init.constant_(unit.scale.conv.weight, 10.0)
    nn.init.constant_(unit.scale.norm.bias, 0.25)
    nn.init.constant_(unit.identity.running_mean, 0.5)  # taken off
    whole = collapse(unit)
    assert whole.weight.tolist() == [[[[5, 5, 5], [5, 16, 5], [5, 5, 5]]]]
    assert whole.bias.tolist() == [-0.25]


def test_the_identity_within_groups_by_hand():
    unit = with_plain_norms(RepConv(4, 4, groups=2))
    nn.init.zeros_(unit.full.weight)
    nn.init.zeros_(unit.scale.conv.weight)
    whole = collapse(unit)
    ones = [tuple(place) for place in whole.weight.nonzero().tolist()]
    assert ones == [(0, 0, 1, 1), (1, 1, 1, 1), (2, 0, 1, 1), (3, 1, 1, 1)]
    assert whole.weight.sum() == 4


def test_the_sum_is_rounded_once():
    unit = randomize(RepConv(6, 6, copies=4))
    exact = collapse(unit)
    rounded = collapse(unit.float())
    assert rounded.weight.dtype == torch.float32
    again = collapse(unit.double())  # of the same rounded branches
    assert torch.equal(rounded.weight, again.weight.float())
    assert not torch.equal(exact.weight, again.weight)


def test_the_unit_itself_stays():
    unit = randomize(RepConv(6, 6))
    before = {name: tensor.clone() for name, tensor in unit.state_dict().items()}
    whole = collapse(unit)
    nn.init.zeros_(whole.weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in unit.state_dict().items())


@pytest.mark.parametrize("where", ["identity", "scale.norm", "convs.1.norm"])
def test_a_norm_of_the_batch_is_refused(where):
    unit = RepConv(6, 6, copies=2)
    unit.set_submodule(where, nn.BatchNorm2d(6, track_running_stats=False))
    with pytest.raises(ValueError, match="without running statistics cannot be folded"):
        collapse(unit)


def test_a_branch_without_a_batch_norm_is_refused():
    unit = RepConv(6, 6)
    unit.scale.norm = nn.GroupNorm(2, 6)
    with pytest.raises(ValueError, match="a branch with GroupNorm"):
        collapse(unit)


def test_gate_and_activation_follow_the_sum():
    unit = randomize(RepUnit(16, 16, gate=squeeze_excite(4)))
    assert [name for name, _ in unit.named_children()] == ["conv", "gate", "act"]
    x = torch.randn(2, 16, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(unit(x), unit.gate(sum(branch(x) for branch in unit.conv.branches())).relu())
    assert [name for name, _ in RepUnit(16, 16).named_children()] == ["conv", "act"]
