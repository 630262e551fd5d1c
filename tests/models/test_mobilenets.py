"""MobileNets: the papers' arithmetic, twins under another padding, gates held open, and weights as published."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import riffle
from random_networks import randomize, relative_difference
from riffle import registry, zoo
from riffle.layers.attention import CBAM, SqueezeExcite
from riffle.layers.conv import ConvNormAct, relu6
from riffle.layers.inverted_residual import InvertedResidual
from riffle.models.mobilenet_v1 import DepthwiseSeparable, full_convolution
from riffle.models.mobilenet_v4 import UniversalInvertedBottleneck
from riffle.preprocessing import Preprocessing
from riffle.profiling.cost import profile
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9
bare = partial(ConvNormAct, norm=nn.Identity)  # neither a norm nor a bias: what the formulas count

LAYERS = {
    # parameters; times the pixels of the output that is the multiply-accumulates
    "full": (full_convolution(16, 32, unit=bare), 3 * 3 * 16 * 32),
    "depthwise": (bare(16, 16, 3, groups=16), 3 * 3 * 16),
    "pointwise": (bare(16, 32), 16 * 32),
    "depthwise separable": (DepthwiseSeparable(16, 32, unit=bare), 3 * 3 * 16 + 16 * 32),
    "eight groups": (bare(16, 32, 3, groups=8), 3 * 3 * 16 * 32 // 8),
    "stride 2": (full_convolution(16, 32, 2, unit=bare), 3 * 3 * 16 * 32),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_costs_what_its_formula_says(name):
    layer, params = LAYERS[name]
    cost = profile(layer, size=14, in_channels=16)
    pixels = 7 * 7 if name == "stride 2" else 14 * 14
    assert (cost.params, cost.macs) == (params, params * pixels)


def test_the_figures_of_the_exercise():
    assert [LAYERS[name][1] for name in ("full", "depthwise separable", "eight groups")] == [4608, 656, 576]


@pytest.mark.parametrize("c_out", [8, 64, 1024])
@pytest.mark.parametrize("kernel", [3, 5])
def test_v1_equation_5(c_out, kernel):
    """Depthwise separable over full costs 1/N + 1/D_K^2."""
    separable = nn.Sequential(bare(24, 24, kernel, groups=24), bare(24, c_out))
    if kernel == 3:
        separable = DepthwiseSeparable(24, c_out, unit=bare)
    costs = [profile(layer, size=14, in_channels=24).macs for layer in (separable, bare(24, c_out, kernel))]
    assert Fraction(*costs) == Fraction(1, c_out) + Fraction(1, kernel**2)


@pytest.mark.parametrize("name", ["mobilenet_v1_x1_0", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_each_stage_halves_the_picture(name):
    with torch.device("meta"):
        maps = zoo.create(name).feature_maps(torch.empty(1, 3, 224, 224))
    assert [m.shape[-1] for m in maps] == [112, 56, 28, 14, 7][5 - len(maps) :]


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("mobilenet_v1_x1_0_relu6", "mobilenet_v1_x1_0_tf"),
        ("mobilenet_v2_x0_35", "mobilenet_v2_x0_35_tf"),
        ("mobilenet_v3_small", "mobilenet_v3_small_tf"),
    ],
)
def test_a_twin_pads_differently_where_a_side_is_even(name, twin):
    """From 33 pixels every layer of stride 2 has an odd side (33, 17, 9, 5, 3), and TensorFlow pads evenly there."""
    usual = randomize(zoo.create(name))
    same = zoo.create(twin).double().eval()
    assert {m.eps for m in same.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    adopt(same, usual)
    assert relative_difference(usual, same, (3, 33, 33)) < TOLERANCE
    assert relative_difference(usual, same, (3, 32, 32)) > 1e-3


@pytest.mark.parametrize(
    ("name", "gates"), [("se_mobilenet_v1", 13), ("cbam_mobilenet_v1", 27), ("cbam_mobilenet_v1_x0_7", 27)]
)
def test_with_open_gates_it_is_the_network_without(name, gates):
    network = randomize(zoo.create(name))
    assert sum(isinstance(m, SqueezeExcite | CBAM) for m in network.modules()) == gates
    arguments = {"widths": registry.default(name, "widths")}
    plain = registry.build("mobilenet_v1_x1_0", **arguments).double().eval()
    adopt(plain, {key: value for key, value in network.state_dict().items() if ".gate." not in key})
    assert relative_difference(plain, network) > 1e-2
    for key, value in network.state_dict().items():
        if key.endswith(
            ("excite.weight", "perceptron.2.weight", "space.conv.conv.weight", "space.conv.norm.running_mean")
        ):
            value.zero_()
        elif key.endswith(("excite.bias", "perceptron.2.bias", "space.conv.norm.bias")):
            value.fill_(40)  # of which the sigmoid is 1
    assert relative_difference(plain, network) < TOLERANCE


@pytest.mark.parametrize("stride", [1, 2])
def test_v4s_bottleneck_with_only_the_inner_convolution_is_v2s(stride):
    inverted = randomize(InvertedResidual(8, 8, 32, 3, stride, unit=ConvNormAct))
    universal = UniversalInvertedBottleneck(8, 8, stride, kernels=(0, 3), hidden=32, unit=ConvNormAct)
    adopt(universal.double().eval(), inverted)
    assert relative_difference(inverted, universal, (8, 7, 8)) < TOLERANCE


@pytest.mark.parametrize(
    ("kernels", "of_kernels"),
    [((0, 0), 0), ((3, 0), 9 * 8), ((0, 5), 25 * 32), ((5, 3), 25 * 8 + 9 * 32)],
    ids=["FFN", "ConvNext-like", "IB", "ExtraDW"],
)
def test_v4s_bottleneck_costs_what_its_drawing_says(kernels, of_kernels):
    block = UniversalInvertedBottleneck(8, 16, kernels=kernels, hidden=32, unit=bare)
    assert profile(block, size=14, in_channels=8).params == 8 * 32 + 32 * 16 + of_kernels


PUBLISHED = {
    # name, file, size, side before the crop, percent of full-size pictures, points lost under symmetric padding
    "v1": ("mobilenet_v1_x0_25_128", "mobilenet_v1_0.25_128_tf_folded.pth", 128, 146, 45.8, 8),
    "v2": ("mobilenet_v2", "mobilenet_v2_1.0_224_tf_folded.pth", 224, 256, 88.8, 2),
}


def percent_right(network: nn.Module, state: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor):
    """Of the published weights, batch norms folded in, in that network; their class 0 is the background."""
    folded = riffle.fuse(network)
    adopt(folded, state)
    with torch.no_grad():
        found = torch.cat([folded(batch).argmax(1) for batch in images.split(50)])
    return 100 * (found == labels + 1).double().mean().item()


@pytest.mark.parametrize(
    ("row", "step"), [("v1", 10), *(pytest.param(row, 1, marks=pytest.mark.slow) for row in PUBLISHED)]
)
def test_published_weights_classify_under_the_padding_they_were_trained_with(real_data, row, step):
    name, file, size, resize, expected, lost = PUBLISHED[row]
    path = real_data / "weights" / file
    pictures = sorted((real_data / "imagenet_samples").glob("*.jpg"))
    if not path.is_file() or len(pictures) != 1000:
        pytest.skip("no published weights, or no pictures of every class, among the real data")
    how = Preprocessing(size=size, resize=resize, mean=(128, 128, 128), std=(128, 128, 128), scale=1)
    images = torch.from_numpy(np.stack([how(picture) for picture in pictures[::step]]))
    labels = torch.arange(0, 1000, step)
    state = torch.load(path, map_location="cpu", weights_only=True)["state"]
    symmetric = partial(ConvNormAct, act=relu6, norm=partial(nn.BatchNorm2d, eps=1e-3))
    right = percent_right(registry.build(f"{name}_tf", num_classes=1001), state, images, labels)
    wrong = percent_right(registry.build(name, num_classes=1001, unit=symmetric), state, images, labels)
    if step == 1:
        assert right == pytest.approx(expected, abs=3)  # these pictures are smaller
    assert right - wrong > lost
