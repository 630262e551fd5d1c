from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from riffle.data.images import read
from riffle.layers.image_classifier import ImageClassifier, global_pool
from riffle.preprocessing import Preprocessing
from riffle.training.grad_cam import grad_cam, heats_of
from riffle.zoo import create
from tiny import tiny

PLAIN = Preprocessing(size=8, resize=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Colours(ImageClassifier):
    """Two maps, the red and the green of the picture, and classes that weigh them."""

    def __init__(self, weights: list[list[float]], *stages: nn.Module, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1, bias=False)
        self.stem.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).view(2, 3, 1, 1)
        self.stages = nn.Sequential(*stages)
        self.neck = nn.Identity()
        self.pool = pool or global_pool()
        self.classifier = nn.Linear(2, len(weights), bias=False)
        self.classifier.weight.data = torch.tensor(weights)


def test_behind_an_average_it_is_the_linear_weights_times_the_maps():
    x = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    heat = grad_cam(Colours([[2.0, -1.0], [0.0, 3.0], [-1.0, -1.0]]), x, [0, 1, 2])
    red, green = x[0, 0], x[0, 1]
    expected = torch.stack([(2 * red - green).relu(), 3 * green, torch.zeros(4, 5)]) / 20  # 20 places are averaged
    assert torch.allclose(heat, expected, atol=1e-6)


def test_a_layer_that_works_in_place_changes_nothing():
    x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    network = Colours([[1.0, 2.0]], pool=nn.Sequential(nn.ReLU(inplace=True), *global_pool()))
    weights = (
        (x[0, :2] > 0).float().mean((1, 2)) * torch.tensor([1.0, 2.0]) / 16
    )  # the ReLU lets through what is positive
    expected = (weights.view(2, 1, 1) * x[0, :2]).sum(0).relu()
    assert torch.allclose(grad_cam(network, x, [0])[0], expected, atol=1e-6)


def test_maps_that_are_too_coarse_are_passed_over():
    halves = [nn.AvgPool2d(2), nn.Sequential(nn.ReLU(inplace=True), nn.AvgPool2d(2))]
    network = Colours([[-1.0, 0.0]], *halves)
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    heat = grad_cam(network, x, [0])
    assert heat.shape == (1, 4, 4), "the last one has 2 x 2"
    red = nn.functional.avg_pool2d(x[:, 0], 2)[0]
    weight = -(red > 0).float().mean() / 16
    assert torch.allclose(heat[0], (weight * red).relu(), atol=1e-6), "as it was before the ReLU worked in place"
    assert heat.max() > 0
    assert grad_cam(network, torch.rand(1, 3, 16, 16), [0]).shape == (1, 4, 4)
    with pytest.raises(ValueError, match="needs feature maps of 4 × 4 or more"):
        grad_cam(Colours([[1.0, 0.0]]), x[..., :3], [0])


@pytest.mark.parametrize(("name", "side"), [("shufflenet_v2_x0_5", 4), ("mobilenet_v3_small", 4), ("squeezenet1_1", 7)])
def test_networks_of_the_zoo_have_heat(name, side):
    network = create(name, num_classes=3).eval()
    heat = grad_cam(network, torch.rand(1, 3, 128, 128), [2, 0])
    assert heat.shape == (2, side, side)
    assert (heat >= 0).all()
    assert not heat.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_heat_of_pictures_lies_where_the_colour_is_and_lost_files_have_none(tmp_path: Path):
    for name in ("a/1.png", "a/2.png", "a/3.png", "a/4.png", "b/5.png", "b/6.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image = np.zeros((8, 8, 3), np.uint8)
        image[6, 1, 0] = 255  # red
        image[2, 5, 1] = 255  # green
        Image.fromarray(image).save(tmp_path / name)
    pictures = read(tmp_path, validation=0.5, seed=0).train
    network = Colours([[1.0, 0.0], [0.0, 1.0]]).train()
    Path(pictures.name(1)).unlink()
    heats = heats_of(network, pictures, {1: (0, 1), 2: (1, 0)}, PLAIN)
    assert list(heats) == [2]
    taken, true = heats[2]
    assert np.argwhere(taken).tolist() == [[2, 5]]
    assert np.argwhere(true).tolist() == [[6, 1]]
    assert network.training
    assert heats_of(tiny(), pictures, {2: (0, 1)}, PLAIN) == {}
    assert heats_of(Colours([[1.0, 0.0]], nn.AvgPool2d(4)), pictures, {}, PLAIN) == {}


def test_a_network_of_tokens_has_no_heat():
    network = create("vit_ti_16", num_classes=2, size=32)
    with pytest.raises(ValueError, match="this network has none"):
        grad_cam(network, torch.rand(1, 3, 32, 32), [0])
    digits = read("digits").validation
    assert heats_of(network, digits, {0: (0, 1)}, Preprocessing(size=32, resize=32)) == {}
