"""What is particular to AlexNet, VGG, GoogLeNet and SqueezeNet."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from peers import build
from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.layers.attention import SqueezeExcite
from riffle.models.alexnet import AlexNet, as_printed, as_released
from riffle.models.squeezenet import BypassFire, complex_bypass, simple_bypass
from riffle.preprocessing import Preprocessing
from riffle.profiling.cost import profile
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9

SQUEEZENET_TABLE_1 = {  # parameters before pruning
    "conv1": 14_208,
    "fire2": 11_920,
    "fire3": 12_432,
    "fire4": 45_344,
    "fire5": 49_440,
    "fire6": 104_880,
    "fire7": 111_024,
    "fire8": 188_992,
    "fire9": 197_184,
    "conv10": 513_000,
}


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("norm", "each"), [(as_printed, 1e-4), (as_released, 1e-4 / 5)])
def test_response_normalization_is_the_formula_of_section_3_3(norm, each):
    a = 50 * torch.randn(1, 8, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    neighbours = [a[:, max(0, i - 2) : min(8, i + 3)] for i in range(8)]
    expected = [a[:, i] / (2 + each * (near**2).sum(1)) ** 0.75 for i, near in enumerate(neighbours)]
    torch.testing.assert_close(norm()(a), torch.stack(expected, dim=1))


def test_two_gpus_are_one_whose_halves_do_not_meet():
    """But in the third convolution, which reads the maps of both."""
    with torch.device("meta"):
        halves, whole = AlexNet(2, as_printed).stages, AlexNet(1, as_printed).stages
    halves, whole = (randomize(stages.to_empty(device="cpu")) for stages in (halves, whole))
    for half, full in zip(halves.modules(), whole.modules(), strict=True):
        if isinstance(half, nn.Conv2d):
            full.bias.data.copy_(half.bias.data)
            upper, lower = half.weight.data.chunk(2)
            joined = half.weight.data if half.groups == 1 else block_diagonal(upper, lower)
            full.weight.data.copy_(joined)
    assert [m.groups for m in halves.modules() if isinstance(m, nn.Conv2d)] == [2, 1, 2, 2]
    assert relative_difference(halves, whole, (96, 12, 12)) < TOLERANCE


def block_diagonal(upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    nothing = torch.zeros_like(upper)
    return torch.cat((torch.cat((upper, nothing), dim=1), torch.cat((nothing, lower), dim=1)))


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_0_simple_bypass", "googlenet_paper"])
def test_fresh_networks_without_norms_let_the_signal_through(name):
    """Where it dies, the scores hardly depend on the picture, and training does not start."""
    torch.manual_seed(0)
    network = zoo.create(name).eval()
    with torch.no_grad():
        scores = network(torch.randn(2, 3, 64, 64))
    assert (scores[0] - scores[1]).abs().max() > 0.1


def test_se_vgg_has_a_gate_behind_each_convolution():
    """SENet's Table 2 prints 15.48 GFLOPs, where the gates' rescaling counts."""
    with torch.device("meta"):
        network = zoo.create("se_vgg16_bn")
    rescaled = []
    for module in network.modules():
        if isinstance(module, SqueezeExcite):
            module.register_forward_hook(lambda module, inputs, output: rescaled.append(output.numel()))
    with torch.no_grad():
        network(torch.empty(1, 3, 224, 224, device="meta"))
    assert len(rescaled) == 13
    total = sum(rescaled) + profile(network).macs
    assert (total, round(total / 1e9, 2)) == (15_484_038_144, 15.48)


def test_googlenet_paper_equals_torchvisions_with_the_papers_parts():
    googlenet = inspect.getmodule(build("torchvision", "googlenet"))

    class Biased(nn.Sequential):
        def __init__(self, c_in: int, c_out: int, **options: int) -> None:
            super().__init__(nn.Conv2d(c_in, c_out, **options), nn.ReLU())

    class Inception(googlenet.Inception):
        def __init__(self, c_in: int, *widths: int) -> None:
            super().__init__(c_in, *widths, conv_block=Biased)
            self.branch3[1] = Biased(widths[3], widths[4], kernel_size=5, padding=2)

    response_norm = partial(nn.LocalResponseNorm, 5, alpha=1e-4, beta=0.75, k=1)
    theirs = googlenet.GoogLeNet(
        aux_logits=False, init_weights=False, blocks=[Biased, Inception, googlenet.InceptionAux]
    )
    theirs.maxpool1 = nn.Sequential(theirs.maxpool1, response_norm())
    theirs.maxpool2 = nn.Sequential(response_norm(), theirs.maxpool2)
    theirs.maxpool4 = theirs.maxpool3
    ours = zoo.create("googlenet_paper").double()
    adopt(ours.eval(), randomize(theirs))
    assert relative_difference(theirs, ours, (3, 76, 64)) < TOLERANCE


def test_torchvisions_googlenet_weights_want_pixels_from_minus_one_to_one(photo):
    """``transform_input`` undoes ImageNet's normalization; without it that is preprocessing alone."""
    theirs = build("torchvision", "googlenet")
    theirs.transform_input = True
    half = (0.5, 0.5, 0.5)
    transformed = theirs._transform_input(torch.from_numpy(Preprocessing()(photo))[None])
    direct = torch.from_numpy(Preprocessing(mean=half, std=half)(photo))[None]
    torch.testing.assert_close(transformed, direct, atol=1e-6, rtol=0)


def test_squeezenet_layer_by_layer_is_table_1():
    with torch.device("meta"):
        network = zoo.create("squeezenet1_0")
    fires = [module for stage in network.stages for module in stage if size_of(module)]
    parts = [network.stem, *fires, network.classifier]
    assert dict(zip(SQUEEZENET_TABLE_1, map(size_of, parts), strict=True)) == SQUEEZENET_TABLE_1


def test_bypasses_lead_around_the_fires_that_the_paper_names():
    wires = {}
    for name in ("squeezenet1_0", "squeezenet1_0_simple_bypass", "squeezenet1_0_complex_bypass"):
        with torch.device("meta"):
            network = zoo.create(name)
        fires = [module for stage in network.stages for module in stage if size_of(module)]
        wires[name] = {
            number: size_of(module.bypass) for number, module in enumerate(fires, 2) if isinstance(module, BypassFire)
        }
    assert wires["squeezenet1_0"] == {}
    assert wires["squeezenet1_0_simple_bypass"] == {3: 0, 5: 0, 7: 0, 9: 0}
    assert wires["squeezenet1_0_complex_bypass"] == {
        **wires["squeezenet1_0_simple_bypass"],
        2: 96 * 128 + 128,
        4: 128 * 256 + 256,
        6: 256 * 384 + 384,
        8: 384 * 512 + 512,
    }


@pytest.mark.parametrize("unit", [simple_bypass(16, 2, 8, 8), complex_bypass(16, 2, 8, 16)])
def test_without_fire_the_bypass_is_left(unit):
    for parameter in unit.fire.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(unit(x), unit.bypass(x))


@pytest.mark.slow
def test_released_weights_classify_photographs(real_data):
    """61.4 and 83.3 % were measured on full-size pictures; these were resized."""
    path = real_data / "weights" / "squeezenet1_1_torchvision_layout.pth"
    pictures = sorted((real_data / "imagenet_samples").glob("*.jp*g"))
    if not path.is_file() or len(pictures) != 1000:
        pytest.skip("no weights of SqueezeNet 1.1 or no imagenet_samples among the real data")
    network = zoo.create("squeezenet1_1").eval()
    adopt(network, torch.load(path, map_location="cpu", weights_only=True))
    preprocessing = Preprocessing()
    top5 = []
    with torch.no_grad():
        for start in range(0, 1000, 50):
            batch = np.stack([preprocessing(picture) for picture in pictures[start : start + 50]])
            top5.append(network(torch.from_numpy(batch)).topk(5).indices)
    right = torch.cat(top5) == torch.arange(1000)[:, None]
    assert 100 * right[:, 0].float().mean() == pytest.approx(61.4, abs=3)
    assert 100 * right.any(1).float().mean() == pytest.approx(83.3, abs=3)
