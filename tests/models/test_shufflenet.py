"""What is particular to the ShuffleNets: gates, deep and released forms, and how others' differ."""

from functools import partial

import pytest
import reference
import torch
from torch import nn

from peers import build
from random_networks import randomize, relative_difference
from riffle import registry, zoo
from riffle.layers.attention import CBAM
from riffle.models.shufflenet_v2 import AuthorsShuffleNetV2, ShuffleNetV2
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9
V1 = {"widths": (12, 120, 240, 480)}
V2 = {"widths": (48, 96, 192, 64)}
DEEP = {"widths": (20, 36, 48, 60), "repeats": (2, 3, 2, 2)}
DESCRIPTIONS = [
    # name, what is made smaller, the same in plain functions
    ("se_shufflenet_v1_g3_x1_0", V1, partial(reference.shufflenet_v1, groups=3, gated="branch")),
    ("se_shufflenet_v1_g3_x2_0", V1, partial(reference.shufflenet_v1, groups=3, gated="output")),
    ("se_shufflenet_v2_x2_0", V2, reference.shufflenet_v2_authors),
    (
        "shufflenet_v2_50",
        {**DEEP, "stem": (8,)},
        partial(reference.shufflenet_v2_deep, units=DEEP["repeats"], residual=False),
    ),
    (
        "se_shufflenet_v2_164",
        {**DEEP, "stem": (8, 8, 16)},
        partial(reference.shufflenet_v2_deep, units=DEEP["repeats"], residual=True),
    ),
    (
        "shufflenet_v2_large",
        {"widths": (32, 64, 96, 128), "repeats": (2, 3, 2, 2)},
        partial(reference.shufflenet_v2_large, units=(2, 3, 2, 2)),
    ),
    ("shufflenet_v2_plus_small", {}, reference.shufflenet_v2_plus),
]


@pytest.mark.parametrize(("name", "smaller", "description"), DESCRIPTIONS, ids=[name for name, *_ in DESCRIPTIONS])
def test_equals_its_description(name, smaller, description):
    network = randomize(registry.build(name, **smaller))
    assert relative_difference(network, partial(description, network)) < TOLERANCE


def test_large_is_the_released_count_without_its_classifiers_for_training():
    """Each sees a stage's output: 1x1 and 3x3 convolutions of its width with norms, and 1,000 classes."""
    heads = sum(c * c + 2 * c + 9 * c * c + 2 * c + 1000 * c + 1000 for c in (256, 512, 1024))
    with torch.device("meta"):
        network = zoo.create("shufflenet_v2_large")
    assert sum(p.numel() for p in network.parameters()) + heads == 140_685_664


@pytest.mark.parametrize(
    ("name", "peer"), [("shufflenet_v2_x0_5", "shufflenetv2_wd2"), ("shufflenet_v2_x1_0", "shufflenetv2_w1")]
)
def test_pytorchcvs_v2_is_torchvisions_layout_but_for_the_stems_pooling(name, peer):
    theirs = randomize(build("pytorchcv", peer))
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)  # theirs is made for 224 pixels
    ours = zoo.create(name).double().eval()
    adopt(ours, theirs, inputs=(torch.zeros(1, 3, 64, 64, dtype=torch.float64),))
    assert relative_difference(theirs, ours) > 1e-3
    theirs.features.init_block.pool = ours.stem[1]
    assert relative_difference(theirs, ours) < TOLERANCE


def test_pytorchcvs_second_v2_has_the_authors_shapes_and_torchvisions_shuffle():
    theirs = build("pytorchcv", "shufflenetv2b_w1")
    ours = zoo.create("shufflenet_v2_x1_0_authors")
    adopt(ours, theirs)
    randomize(theirs)
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)
    ours.double().eval()
    adopt(ours, theirs)
    assert relative_difference(theirs, ours) > 1e-3


def test_pytorchcvs_v1_joins_the_other_way_round():
    theirs = randomize(build("pytorchcv", "shufflenet_g3_wd4"))
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)
    for name, equal in (("shufflenet_v1_g3_x0_25_pytorchcv", True), ("shufflenet_v1_g3_x0_25", False)):
        ours = zoo.create(name).double().eval()
        adopt(ours, theirs.state_dict())
        assert (relative_difference(theirs, ours) < TOLERANCE) is equal


def test_widths_below_the_papers_are_torchvisions_network():
    """PaddleClas trained them; torchvision's class takes their widths."""
    build("torchvision", "shufflenet_v2_x0_5")
    from torchvision.models import ShuffleNetV2 as Theirs

    for name, widths in (
        ("shufflenet_v2_x0_25", [24, 24, 48, 96, 512]),
        ("shufflenet_v2_x0_33", [24, 32, 64, 128, 512]),
    ):
        theirs = randomize(Theirs([4, 8, 4], widths))
        ours = zoo.create(name).double().eval()
        adopt(ours, theirs)
        assert relative_difference(theirs, ours) < TOLERANCE


@pytest.mark.parametrize("kind", [ShuffleNetV2, AuthorsShuffleNetV2])
def test_any_gate_will_do(kind):
    gates: list[int] = []

    def gate(channels: int) -> nn.Module:
        gates.append(channels)
        return CBAM(channels)

    network = kind(V2["widths"], num_classes=3, gate=gate).eval()
    assert gates == [24] * 4 + [48] * 8 + [96] * 4
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
