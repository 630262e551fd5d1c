"""The three equivalent forms of a ResNeXt block (Fig. 3), in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from random_networks import randomize, relative_difference
from riffle.layers.conv import ConvNormAct, depthwise
from riffle.models.resnet import Bottleneck
from riffle.registry import names
from riffle.zoo import create

TABLE_2 = {  # cardinality: width of a group, width of the grouped convolution in conv2_x
    1: (64, 64),
    2: (40, 80),
    4: (24, 96),
    8: (14, 112),
    32: (4, 128),
}
EVERYTHING = slice(None)


def normalized(norm: nn.BatchNorm2d, x: Tensor, channels: slice = EVERYTHING) -> Tensor:
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return F.batch_norm(x, *(tensor[channels] for tensor in statistics), eps=norm.eps)


def paths(block: Bottleneck, x: Tensor) -> list[Tensor]:
    """Each group as a path of its own, 1x1 and 3x3 to the group's width, with its slices of the block's weights."""
    narrow, middle, _ = block.branch
    width = middle.conv.out_channels // middle.conv.groups
    outputs = []
    for start in range(0, middle.conv.out_channels, width):
        group = slice(start, start + width)
        y = F.relu(normalized(narrow.norm, F.conv2d(x, narrow.conv.weight[group]), group))
        y = F.conv2d(y, middle.conv.weight[group], stride=middle.conv.stride, padding=1)
        outputs.append(F.relu(normalized(middle.norm, y, group)))
    return outputs


def form_a(block: Bottleneck, x: Tensor) -> Tensor:
    """Fig. 3a: each path has its own last 1x1; their outputs are added up."""
    last = block.branch[-1]
    width = block.branch[1].conv.out_channels // block.branch[1].conv.groups
    weights = last.conv.weight.split(width, dim=1)
    total = sum(F.conv2d(y, weight) for y, weight in zip(paths(block, x), weights, strict=True))
    return F.relu(normalized(last.norm, total) + block.shortcut(x))


def form_b(block: Bottleneck, x: Tensor) -> Tensor:
    """Fig. 3b: the paths side by side, then one 1x1."""
    last = block.branch[-1]
    y = F.conv2d(torch.cat(paths(block, x), dim=1), last.conv.weight)
    return F.relu(normalized(last.norm, y) + block.shortcut(x))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", TABLE_2)
@pytest.mark.parametrize("form", [form_a, form_b])
def test_the_three_forms_are_one(form, groups, stride):
    block = randomize(Bottleneck(256, 64, stride, groups=groups, group_width=TABLE_2[groups][0]))
    assert relative_difference(block, lambda x: form(block, x), (256, 6, 6)) < 1e-9


def test_other_paths_are_another_block():
    block = randomize(Bottleneck(256, 64, groups=32, group_width=4))
    other = randomize(Bottleneck(256, 64, groups=16, group_width=8))
    other.load_state_dict(block.state_dict() | {"branch.1.conv.weight": other.branch[1].conv.weight})
    assert relative_difference(block, other, (256, 6, 6)) > 1e-2


@pytest.mark.parametrize("groups", [1, 2, 3, 12])
def test_a_grouped_convolution_is_a_dense_one_with_zeros_between_groups(groups):
    """With as many groups as channels it is the depthwise convolution."""
    grouped = randomize(depthwise(12) if groups == 12 else ConvNormAct(12, 12, 3, groups=groups, act=None))
    dense = randomize(ConvNormAct(12, 12, 3, act=None))
    width = 12 // groups
    weight = torch.zeros(12, 12, 3, 3, dtype=torch.float64)
    for start in range(0, 12, width):
        group = slice(start, start + width)
        weight[group, group] = grouped.conv.weight.detach()[group]
    dense.load_state_dict(grouped.state_dict() | {"conv.weight": weight})
    assert relative_difference(grouped, dense, (12, 6, 6)) < 1e-9


@pytest.mark.parametrize("groups", TABLE_2)
def test_table_2(groups):
    group_width, width = TABLE_2[groups]
    with torch.device("meta"):
        conv = create(f"resnext50_{groups}x{group_width}d").stages[0][0].branch[1].conv
    assert (conv.groups, conv.out_channels) == (groups, width)


def test_a_name_tells_its_groups():
    for name in names("resnext*"):
        groups, width = name.removesuffix("d").rsplit("_", 1)[1].split("x")
        with torch.device("meta"):
            conv = create(name).stages[1][0].branch[1].conv
        assert (conv.groups, conv.out_channels) == (int(groups), 2 * int(groups) * int(width))
        assert conv.stride == (2, 2)  # Section 4: the stride is in the 3x3 convolution
