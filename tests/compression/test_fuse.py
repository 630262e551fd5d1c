"""Fused networks give the same answers, in float64, without batch norms."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import peers
from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.card import card_of
from riffle.compression import fuse
from riffle.compression.rewrite import rewrite
from riffle.layers import reparam
from riffle.layers.conv import ConvNormAct, SameConv2d
from riffle.layers.reparam import RepConv, RepUnit

TOLERANCE = 1e-9
WITH_NORMS = [
    "shufflenet_v1_g1_x0_25",
    "shufflenet_v1_g3_x0_5",
    "shufflenet_v1_g8_x0_5_authors",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_0_authors",
    "repvgg_a0",
    "mobileone_s0",
]
CONVOLUTIONS = {
    "dense": nn.Conv2d(8, 12, 3),
    "without bias": nn.Conv2d(8, 12, 3, bias=False),
    "grouped": nn.Conv2d(8, 12, 3, groups=4),
    "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
    "two filters a channel": nn.Conv2d(8, 16, 3, groups=8),
    "strided": nn.Conv2d(8, 12, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(8, 12, 3, dilation=3, padding=3),
    "uneven": nn.Conv2d(8, 12, (5, 1), stride=(1, 2), padding=(2, 0), dilation=(2, 1)),
    "reflecting": nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"),
    "padded by name": nn.Conv2d(8, 12, 3, padding="same"),
    "one pixel": nn.Conv2d(8, 12, 1),
    "padded as TensorFlow does": SameConv2d(8, 12, 3, stride=2),
}


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def conv_norm_relu(conv: nn.Conv2d | None = None, **norm) -> nn.Sequential:
    conv = conv or nn.Conv2d(8, 8, 3, padding=1)
    return nn.Sequential(deepcopy(conv), nn.BatchNorm2d(conv.out_channels, **norm), nn.ReLU())


def assert_fuses(network: nn.Module, *, left: int = 0, shape=(8, 9, 10)) -> nn.Module:
    fused = fuse(network)
    assert norms(fused) == left
    assert relative_difference(network, fused, shape) < TOLERANCE
    return fused


@pytest.mark.parametrize("name", WITH_NORMS)
def test_a_registered_network_gives_the_same_answers_without_norms(name):
    network = randomize(zoo.create(name))
    before = deepcopy(network.state_dict())
    fused = assert_fuses(network, shape=(3, 64, 64))
    assert norms(network) > 0
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert card_of(network).rewrites == ()
    assert card_of(fused).rewrites == ("fuse",)
    assert card_of(fused).name == name


def test_lenet_has_nothing_to_fold():
    network = randomize(zoo.create("lenet", size=64))
    fused = assert_fuses(network, shape=(3, 64, 64))
    assert list(fused.state_dict()) == list(network.state_dict())
    assert card_of(fused).rewrites == ("fuse",)


@pytest.mark.parametrize("conv", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_any_convolution_in_a_plain_sequence(conv):
    assert_fuses(randomize(nn.Sequential(conv_norm_relu(conv), nn.Flatten())))


@pytest.mark.parametrize("norm", [{"affine": False}, {"eps": 0.1}, {"momentum": None}], ids=str)
def test_any_norm_with_statistics(norm):
    assert_fuses(randomize(nn.Sequential(conv_norm_relu(**norm), nn.Flatten())))


def test_a_sequence_that_is_the_whole_network():
    assert_fuses(randomize(conv_norm_relu()))
    assert_fuses(randomize(ConvNormAct(8, 8, 3)))


def test_a_norm_of_the_batch_is_left():
    network = randomize(nn.Sequential(conv_norm_relu(track_running_stats=False), conv_norm_relu()))
    assert_fuses(network, left=1)


def test_a_norm_beside_no_convolution_is_left():
    first = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
    assert_fuses(randomize(nn.Sequential(first, nn.ReLU(), conv_norm_relu())), left=2)


BEFORE = {
    "dense": nn.Conv2d(8, 12, 3),
    "grouped": nn.Conv2d(8, 12, 3, groups=4, bias=False),
    "depthwise": nn.Conv2d(8, 8, 3, groups=8),
    "two filters a channel": nn.Conv2d(8, 16, 3, groups=8),
    "padded by valid": nn.Conv2d(8, 12, 3, padding="valid"),
    "reflecting": nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"),
}
PADDED = {
    "zeros": nn.Conv2d(8, 12, 3, padding=1),
    "same": nn.Conv2d(8, 12, 3, padding="same"),
    "as TensorFlow does": SameConv2d(8, 12, 3, stride=2),
    "transposed": nn.ConvTranspose2d(8, 12, 3),
}


@pytest.mark.parametrize("conv", BEFORE.values(), ids=BEFORE.keys())
def test_a_norm_before_a_convolution(conv):
    assert_fuses(randomize(nn.Sequential(nn.BatchNorm2d(8), deepcopy(conv), nn.Flatten())))


@pytest.mark.parametrize("conv", PADDED.values(), ids=PADDED.keys())
def test_a_norm_before_a_convolution_that_pads_with_zeros_is_left(conv):
    assert_fuses(randomize(nn.Sequential(nn.BatchNorm2d(8), deepcopy(conv), nn.Flatten())), left=1)


OTHERS = {
    "line": (nn.Conv1d(6, 8, 3, stride=2, padding=1), nn.BatchNorm1d(8), (6, 11)),
    "volume": (nn.Conv3d(2, 4, (3, 1, 2), groups=2), nn.BatchNorm3d(4), (2, 5, 5, 5)),
    "transposed": (nn.ConvTranspose2d(6, 8, 3, stride=2, output_padding=1), nn.BatchNorm2d(8), (6, 4, 4)),
    "transposed in groups": (nn.ConvTranspose2d(6, 8, 3, groups=2, bias=False), nn.BatchNorm2d(8), (6, 4, 4)),
    "transposed line": (nn.ConvTranspose1d(6, 8, 3, dilation=2), nn.BatchNorm1d(8), (6, 7)),
    "linear": (nn.Linear(6, 8), nn.BatchNorm1d(8), (6,)),
    "linear without bias": (nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8, affine=False), (6,)),
}


def settled(norm: nn.Module) -> nn.Module:
    """With statistics and factors of its own."""
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize(("layer", "norm", "shape"), OTHERS.values(), ids=OTHERS.keys())
def test_layers_of_other_kinds(layer, norm, shape):
    assert_fuses(nn.Sequential(deepcopy(layer), settled(deepcopy(norm))).double().eval(), shape=shape)


def test_a_norm_before_a_linear_layer():
    network = nn.Sequential(settled(nn.BatchNorm1d(6)), nn.Linear(6, 8)).double().eval()
    assert_fuses(network, shape=(6,))


class Attributes(nn.Module):
    """Not a sequence, as torchvision writes residual networks; the second convolution is read twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(8) for _ in range(3))

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        y = self.conv2(x)
        return self.bn3(self.conv3(x + self.bn2(y).relu() + y))


def test_a_network_that_is_no_sequence():
    fused = assert_fuses(randomize(Attributes()), left=1)
    assert type(fused.bn2) is nn.BatchNorm2d


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_x0_5", *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet18", "densenet121"))]
)
def test_networks_of_torchvision(name):
    left = {"densenet121": 62}  # those before an activation
    assert_fuses(randomize(peers.published("torchvision", name)), left=left.get(name, 0), shape=(3, 64, 64))


class Listed(Attributes):
    """Holds a layer in a list, too, where no rewrite reaches it."""

    def __init__(self):
        super().__init__()
        self.first = [self.conv1]

    def forward(self, x):
        return self.bn1(self.first[0](x)).relu()


def test_a_layer_that_is_held_elsewhere_is_left():
    assert_fuses(randomize(Listed()), left=3)


class Deciding(Attributes):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


def test_a_network_that_cannot_be_traced_is_left():
    assert_fuses(randomize(Deciding()), left=3)


def test_a_unit_used_twice():
    unit = ConvNormAct(8, 8, 3)
    fused = assert_fuses(randomize(nn.Sequential(unit, nn.Hardswish(), unit)))
    assert fused[0] is fused[2]


def test_a_sequence_used_twice():
    unit = conv_norm_relu()
    fused = assert_fuses(randomize(nn.Sequential(unit, nn.Hardswish(), unit)))
    assert fused[0] is fused[2]


def test_an_activation_used_twice_in_one_sequence():
    relu = nn.ReLU()
    body = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), relu, nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), relu)
    assert_fuses(randomize(nn.Sequential(body, nn.Flatten())))


def test_a_convolution_used_twice_with_norms_of_its_own():
    conv = nn.Conv2d(8, 8, 3)
    body = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU(), conv, nn.BatchNorm2d(8))
    assert_fuses(randomize(nn.Sequential(body, nn.Flatten())))


def test_what_else_stands_in_a_sequence_with_a_pair():
    inside = nn.Sequential(ConvNormAct(8, 8, 3), conv_norm_relu(), RepUnit(8, 8))
    assert_fuses(randomize(nn.Sequential(*conv_norm_relu(), ConvNormAct(8, 8, 3), inside, RepUnit(8, 8), inside)))


def test_branches_used_twice():
    unit = RepConv(8, 8)
    fused = assert_fuses(randomize(nn.Sequential(unit, nn.Hardswish(), RepUnit(8, 8), unit)))
    assert type(fused[0]) is nn.Conv2d
    assert fused[0] is fused[3]


def test_two_units_that_share_a_branch():
    first, second = RepConv(8, 8), RepConv(8, 8)
    second.convs[0] = first.convs[0]
    assert_fuses(randomize(nn.Sequential(first, nn.Hardswish(), second)))


def test_branches_that_are_the_whole_network():
    assert_fuses(randomize(RepConv(8, 8, groups=2)))


def test_branches_with_a_norm_of_the_batch_are_refused():
    unit = RepConv(8, 8)
    unit.identity = nn.BatchNorm2d(8, track_running_stats=False)
    with pytest.raises(ValueError, match="without running statistics cannot be folded"):
        fuse(nn.Sequential(RepConv(8, 8), unit))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_1x1_kernel_in_the_wrong_place_is_noticed(monkeypatch, stride):
    def in_the_corner(weight, kernel):
        rows, columns = (size - own for size, own in zip(kernel, weight.shape[2:], strict=True))
        return nn.functional.pad(weight, (0, columns, 0, rows))

    monkeypatch.setattr(reparam, "_padded", in_the_corner)
    with pytest.raises(ArithmeticError, match="12 channels"):
        fuse(nn.Sequential(randomize(RepConv(8, 12, stride=stride))))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["conv.weight", "norm.bias", "norm.running_mean"])
def test_a_weight_that_is_not_finite(where, value):
    network = nn.Sequential(ConvNormAct(3, 4, 3))
    network.state_dict()[f"0.{where}"][..., 0] = value
    with pytest.raises(ArithmeticError, match="4 channels"):
        fuse(network)


def test_a_branch_that_is_not_finite():
    network = nn.Sequential(RepConv(4, 4))
    nn.init.constant_(network[0].scale.conv.weight, float("nan"))
    with pytest.raises(ArithmeticError, match="4 channels"):
        fuse(network)


def test_the_copy_is_for_evaluation_and_the_original_stays_in_training():
    network = zoo.create("shufflenet_v2_x0_5", num_classes=2).train()
    fused = fuse(network)
    assert not any(module.training for module in fused.modules())
    assert all(module.training for module in network.modules())


def test_precision_stays():
    fused = fuse(nn.Sequential(ConvNormAct(3, 4, 3), RepConv(4, 4)).half())
    assert {tensor.dtype for tensor in fused.state_dict().values()} == {torch.float16}


def test_rewrites_are_noted_oldest_first():
    network = rewrite(fuse(zoo.create("lenet", size=64)), lambda module: None, name="nothing")
    assert card_of(network).rewrites == ("fuse", "nothing")


def test_rewrite_does_not_ask_about_the_inside_of_what_it_replaced():
    network = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Sigmoid()), nn.ReLU())
    asked = []

    def replace(module):
        asked.append(type(module))
        return nn.Tanh() if type(module) is nn.Sequential and len(module) == 2 and len(asked) > 1 else None

    copy = rewrite(nn.Sequential(network), replace, name="x")
    assert nn.Sigmoid not in asked
    assert type(copy[0]) in (nn.Tanh, nn.Sequential)
    assert type(network[0][1]) is nn.Sigmoid
