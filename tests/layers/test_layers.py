import math
from functools import partial

import pytest
import torch
from torch import nn

from riffle.layers.conv import ConvNormAct, depthwise
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.layers.reparam import fold_norm


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_padding_keeps_the_size(kernel, stride):
    unit = ConvNormAct(4, 8, kernel, stride, groups=2)
    assert unit(torch.randn(2, 4, 13, 8)).shape == (2, 8, math.ceil(13 / stride), math.ceil(8 / stride))
    assert unit.conv.bias is None
    assert unit.conv.groups == 2
    assert [name for name, _ in unit.named_children()] == ["conv", "norm", "act"]


def test_factories_make_the_norm_and_the_activation():
    unit = ConvNormAct(4, 8, act=nn.Hardswish, norm=partial(nn.BatchNorm2d, eps=1e-3))
    assert type(unit.act) is nn.Hardswish
    assert unit.norm.eps == 1e-3
    linear = ConvNormAct(4, 8, act=None).eval()
    assert type(linear.act) is nn.Identity
    assert linear(torch.randn(2, 4, 3, 3)).min() < 0
    assert ConvNormAct(4, 8).eval()(torch.randn(2, 4, 3, 3)).min() == 0


def test_depthwise_has_one_filter_for_each_channel_and_no_activation():
    unit = depthwise(6, stride=2)
    assert unit.conv.weight.shape == (6, 1, 3, 3)
    assert type(unit.act) is nn.Identity
    assert type(depthwise(6, act=nn.ReLU6).act) is nn.ReLU6


def test_the_parts_run_in_their_order():
    class Marks(nn.Module):
        def __init__(self, mark):
            super().__init__()
            self.mark = mark

        def forward(self, x):
            return [*x, self.mark]

    network = ImageClassifier()
    for part in ("classifier", "pool", "neck", "stem"):
        setattr(network, part, Marks(part))
    network.stages = nn.Sequential(Marks("stage 2"), Marks("stage 3"))
    assert network.forward_features([]) == ["stem", "stage 2", "stage 3", "neck"]
    assert network([]) == ["stem", "stage 2", "stage 3", "neck", "pool", "classifier"]


def test_global_pool_is_the_mean_of_the_pixels():
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(global_pool()(x), x.mean((2, 3)))


def test_a_norm_without_statistics_is_not_folded():
    with pytest.raises(ValueError, match="cannot be folded"):
        fold_norm(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))


def test_fold_by_hand():
    conv, norm = nn.Conv2d(1, 1, 1).double(), nn.BatchNorm2d(1, eps=0.0).double()
    for tensor, value in [
        (conv.weight, 3.0),
        (conv.bias, 5.0),
        (norm.weight, 2.0),
        (norm.bias, 7.0),
        (norm.running_mean, 1.0),
        (norm.running_var, 4.0),
    ]:
        nn.init.constant_(tensor, value)
    folded = fold_norm(conv, norm)  # 2 / sqrt(4) (3 x + 5 - 1) + 7
    assert folded.weight.item() == 3.0
    assert folded.bias.item() == 11.0
