"""The same answers as other implementations of the same networks, in float64."""

from functools import partial

import numpy as np
import pytest
import reference
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from peers import build
from random_networks import randomize, relative_difference
from riffle import registry, zoo
from riffle.models.shufflenet_v1 import bottleneck
from riffle.preprocessing import Preprocessing
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9

V1 = [
    # name, groups, the authors' layout
    ("shufflenet_v1_g1_x0_25", 1, False),
    ("shufflenet_v1_g2_x0_25", 2, False),
    ("shufflenet_v1_g3_x0_5", 3, False),
    ("shufflenet_v1_g4_x0_25", 4, False),
    ("shufflenet_v1_g8_x0_5", 8, False),
    ("shufflenet_v1_g3_x0_5_authors", 3, True),
    ("shufflenet_v1_g8_x0_5_authors", 8, True),
]


def test_norms_epsilon_is_adopted():
    theirs = randomize(build("torchvision", "shufflenet_v2_x0_5"))
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-2
    ours = zoo.create("shufflenet_v2_x0_5").double().eval()
    adopt(ours, theirs.state_dict())
    assert relative_difference(theirs, ours) > 1e-3  # a state dict does not tell it
    adopt(ours, theirs)
    assert relative_difference(theirs, ours) < TOLERANCE


@pytest.mark.parametrize("name", registry.names("shufflenet_v2_*_authors"))
def test_v2_equals_the_authors_layout(name):
    network = randomize(zoo.create(name))
    assert relative_difference(network, partial(reference.shufflenet_v2_authors, network)) < TOLERANCE


@pytest.mark.parametrize(("name", "groups", "released"), V1)
def test_v1_equals_its_description(name, groups, released):
    network = randomize(zoo.create(name))
    described = partial(reference.shufflenet_v1, network, groups=groups, released=released)
    assert relative_difference(network, described) < TOLERANCE


@pytest.mark.parametrize("name", ["shufflenet_v1_g3_x0_5", "shufflenet_v2_x0_5", "shufflenet_v2_x0_5_authors"])
def test_two_swapped_units_do_not_go_unnoticed(name):
    network, swapped = randomize(zoo.create(name)), randomize(zoo.create(name))
    stage = swapped.stages[1]
    stage[4], stage[5] = stage[5], stage[4]
    assert relative_difference(network, swapped) > 1e-3


def test_a_late_shuffle_is_an_early_one_with_the_depthwise_filters_in_another_order():
    # Nine channels in three groups: there a shuffle is its own inverse, and its direction makes no difference.
    early = randomize(bottleneck(9, 9, 9, 1, groups=3, first_groups=3, shuffle_late=False))
    late = randomize(bottleneck(9, 9, 9, 1, groups=3, first_groups=3, shuffle_late=True), seed=1)
    assert [name for name, _ in early.named_children()] == ["expand", "shuffle", "depthwise", "project"]
    assert [name for name, _ in late.named_children()] == ["expand", "depthwise", "shuffle", "project"]
    adopt(late, early)
    assert relative_difference(early, late, (9, 6, 6)) > 1e-3
    order = [0, 3, 6, 1, 4, 7, 2, 5, 8]
    for name, tensor in late.depthwise.state_dict().items():
        if tensor.ndim:
            tensor.copy_(early.depthwise.state_dict()[name][order])
    assert relative_difference(early, late, (9, 6, 6)) < TOLERANCE


@pytest.fixture(scope="module")
def released_trunk(real_data):
    path = real_data / "weights" / "shufflenet_v2_x0_5_trunk_authors_layout.pth"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the real data")
    return torch.load(path, map_location="cpu", weights_only=True)


def test_released_weights_find_the_statistics_they_were_trained_with(real_data, released_trunk):
    """Trained norms remember the means of their inputs: on photographs a right layout meets them again."""
    network = zoo.create("shufflenet_v2_x0_5_authors").eval()
    trunk = nn.Sequential(network.stem, network.stages)
    adopt(trunk, released_trunk)  # the release lists a unit's branch before its projection, and so does this layout
    images = photographs(real_data)
    assert agreement(trunk, images) > 0.95
    assert agreement(trunk, images.flip(1)) < 0.95
    stage = network.stages[2]
    stage[1], stage[2] = stage[2], stage[1]
    assert agreement(trunk, images) < 0.95


def test_released_weights_tell_cats_from_dogs(real_data, released_trunk):
    """A linear probe: the trunk's averaged features, and a classifier on them that learns from 200 pictures."""
    train, validation = (cats_and_dogs(real_data, part) for part in ("train", "val"))
    accuracy = {}
    for kind in ("released", "random"):
        torch.manual_seed(0)
        network = zoo.create("shufflenet_v2_x0_5_authors")
        trunk = nn.Sequential(network.stem, network.stages)
        if kind == "released":
            adopt(trunk, released_trunk)
        else:
            with_statistics_of(trunk, train[0])
        (x, y), (unseen, labels) = [(averaged_features(trunk, images), t) for images, t in (train, validation)]
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(x, y)
        accuracy[kind] = probe.score(unseen, labels)
    assert accuracy["released"] > 0.75
    assert accuracy["released"] > accuracy["random"] + 0.15


def cats_and_dogs(real_data, part: str) -> tuple[torch.Tensor, list[str]]:
    paths = [
        path for kind in ("cat", "dog") for path in sorted((real_data / "cats_dogs" / part / kind).glob("*"))[:100]
    ]
    if not paths:
        pytest.skip("no cats_dogs among the real data")
    preprocessing = Preprocessing(size=128, resize=146, mean=(0, 0, 0), std=(1, 1, 1), channels="BGR")
    images = torch.from_numpy(np.stack([preprocessing(path) for path in paths]))
    return images, [path.parent.name for path in paths]


def averaged_features(trunk: nn.Module, images: torch.Tensor) -> np.ndarray:
    trunk.eval()
    with torch.no_grad():
        return torch.cat([trunk(some).mean(dim=(2, 3)) for some in images.split(50)]).numpy()


def with_statistics_of(trunk: nn.Module, images: torch.Tensor) -> None:
    """Random weights under which the signal lives: with fresh ones it fades within a few units."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all that is seen
    trunk.train()
    with torch.no_grad():
        trunk(images)


def photographs(real_data) -> torch.Tensor:
    paths = sorted((real_data / "imagenet_samples").glob("*.jpg"))[::40]
    if not paths:
        pytest.skip("no imagenet_samples among the real data")
    preprocessing = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), channels="BGR")
    return torch.from_numpy(np.stack([preprocessing(path) for path in paths]))


def agreement(trunk: nn.Module, images: torch.Tensor) -> float:
    """Smallest correlation, over the norms, of the means a norm remembers and those it meets.

    Left out are norms whose means are next to nothing: those two convolutions after an activation.
    """
    correlations = []

    def compare(norm, inputs):
        met, remembered = inputs[0].mean(dim=(0, 2, 3)), norm.running_mean
        if remembered.abs().mean() > 0.1 * norm.running_var.sqrt().mean():
            correlations.append(torch.corrcoef(torch.stack([met, remembered]))[0, 1].item())

    hooks = [m.register_forward_pre_hook(compare) for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        trunk(images)
    for hook in hooks:
        hook.remove()
    assert len(correlations) > 30
    return min(correlations)
