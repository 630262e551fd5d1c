"""Riffle's counts beside other counters', and activation memory beside what an allocator gave out."""

import pytest
import torch
from torch.autograd.profiler import profile as record
from torch.utils.flop_counter import FlopCounterMode

from peers import PEERS, load, published
from riffle import zoo
from riffle.profiling.cost import profile

TORCHVISION = list(dict.fromkeys(row["peer"] for row in PEERS if row["library"] == "torchvision"))
PEAKS = ["shufflenet_v2_x1_0", "shufflenet_v1_g3_x1_0", "mobilenet_v2", "efficientnet_b0", "squeezenet1_1", "vit_ti_16"]


LARGE = ("efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7")
LARGE += ("efficientnet_v2_m", "efficientnet_v2_l", "resnet152", "resnext101_64x4d")
"""So many operations that each takes seconds."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in TORCHVISION])
def test_macs_are_those_that_torchvision_states(name):
    """Of its own modules: one MAC is one of its "GFLOPS" there, rounded to millions."""
    models = load("torchvision.models")
    weights = models.get_model_weights(name).DEFAULT
    with torch.device("meta"):
        network = published("torchvision", name)
    macs = profile(network, size=weights.transforms().crop_size[0]).macs
    assert macs == pytest.approx(weights.meta["_ops"] * 1e9, abs=0.51e6)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "googlenet", "vit_ti_16", "vgg11"])
def test_macs_are_half_of_torchs_flops(name):
    with torch.device("meta"):
        network = zoo.create(name).eval()
        x = torch.zeros(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        network(x)
    assert profile(network).macs == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", PEAKS)
def test_peak_memory_is_what_an_allocator_gave_out(name):
    """Within 10 %; eager convolutions of more than one pixel repack their weights besides, see docs/profiling.md."""
    network = zoo.create(name).eval()
    x = torch.randn(1, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), record(profile_memory=True) as recorded:
        network(x)
    events = [event for event in recorded.kineto_results.events() if event.name() == "[memory]"]
    now, peak = x.nbytes, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert profile(network).peak_memory == pytest.approx(peak, rel=0.1)
