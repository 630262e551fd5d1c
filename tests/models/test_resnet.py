"""What the drawings of the residual blocks say, beyond their counts."""

from functools import partial

import pytest
import torch
from torch import nn

from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.models.resnet import BasicBlock, Bottleneck, EarlyBottleneck, ResNet, residual_stages
from riffle.weights.adopt import adopt

DRAWINGS = [
    # block, kernels, widths and strides of its convolutions at conv3_1 (256 channels in)
    (BasicBlock, (3, 3), (128, 128), (2, 1)),
    (Bottleneck, (1, 3, 1), (128, 128, 512), (1, 2, 1)),
    (EarlyBottleneck, (1, 3, 1), (128, 128, 512), (2, 1, 1)),
]
BLOCKS = [row[0] for row in DRAWINGS]


class Nothing(nn.Module):
    """A gate that lets nothing through."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        assert x.shape[1] == self.channels
        return 0 * x


@pytest.mark.parametrize(("block", "kernels", "widths", "strides"), DRAWINGS)
def test_convolutions_of_a_branch(block, kernels, widths, strides):
    unit = block(256, 128, 2)
    convs = [layer.conv for layer in unit.branch]
    assert tuple(conv.kernel_size[0] for conv in convs) == kernels
    assert tuple(conv.out_channels for conv in convs) == widths
    assert tuple(conv.stride[0] for conv in convs) == strides
    assert [type(layer.act) for layer in unit.branch] == [nn.ReLU] * (len(convs) - 1) + [nn.Identity]
    assert (unit.shortcut.conv.kernel_size, unit.shortcut.conv.stride) == ((1, 1), (2, 2))
    assert type(unit.shortcut.act) is nn.Identity


@pytest.mark.parametrize("block", BLOCKS)
def test_a_branch_of_zeros_leaves_the_identity(block):
    c_in = block(64, 64).c_out
    unit = randomize(block(c_in, 64))
    nn.init.zeros_(unit.branch[-1].norm.weight)
    nn.init.zeros_(unit.branch[-1].norm.bias)
    x = torch.randn(2, c_in, 5, 5, dtype=torch.float64)
    assert torch.equal(unit(x), x.relu())


@pytest.mark.parametrize("block", BLOCKS)
def test_a_gate_weighs_the_branch_and_not_the_sum(block):
    unit = randomize(block(64, 128, 2, gate=Nothing))
    x = torch.randn(2, 64, 6, 6, dtype=torch.float64)
    assert torch.equal(unit(x), unit.shortcut(x).relu())


def test_a_branch_left_out_leaves_the_shortcut():
    unit = BasicBlock(64, 64, drop_path=0.5).train()
    x = torch.randn(64, 64, 2, 2)
    with torch.no_grad():
        kept = (unit(x) != x.relu()).flatten(1).any(1)
    assert 0.2 < kept.float().mean() < 0.8


def test_later_branches_are_left_out_more_often():
    network = ResNet(BasicBlock, (1, 1, 1, 1), drop_path=0.4)
    assert [stage[0].drop_path.probability for stage in network.stages] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_v1_is_v1_5_but_for_where_a_stage_begins():
    v1, v1_5 = randomize(zoo.create("resnet50_v1")), randomize(zoo.create("resnet50"), seed=1)
    adopt(v1_5, v1)
    assert relative_difference(v1, v1_5) > 1e-2
    assert relative_difference(v1.stages[0], v1_5.stages[0], (64, 8, 8)) == 0
    assert relative_difference(v1.stages[1][1:], v1_5.stages[1][1:], (512, 8, 8)) == 0


def test_widths_of_groups_are_those_of_conv2_x():
    block = partial(Bottleneck, groups=8, group_width=14)
    stages = residual_stages(block, (1, 1, 1, 1), 64)
    assert [stage[0].branch[1].conv.out_channels for stage in stages] == [112, 224, 448, 896]
    assert [stage[0].c_out for stage in stages] == [256, 512, 1024, 2048]
    wide = residual_stages(partial(BasicBlock, group_width=96), (1, 1, 1, 1), 64)
    assert [stage[0].c_out for stage in wide] == [96, 192, 384, 768]
