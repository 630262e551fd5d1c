"""Operations as they are dispatched, and what they are grouped into."""

import csv
import json

import pytest
import torch
from torch import nn

from riffle import zoo
from riffle.files import write_csv, write_json
from riffle.profiling import report
from riffle.profiling.cost import profile
from riffle.profiling.formulas import Kind
from riffle.profiling.operations import trace
from riffle.profiling.roofline import Roof, measure_roof
from riffle.profiling.timing import time_operations

FLOPS = [
    # layer, channels, FLOPs at 10 x 10
    (nn.Conv2d(4, 8, 1, bias=False), 4, 2 * 32 * 100),
    (nn.Conv2d(4, 8, 1), 4, 2 * 32 * 100 + 800),  # the bias is an addition for each output
    (nn.ConvTranspose2d(4, 8, 2, stride=2, bias=False), 4, 2 * 4 * 8 * 4 * 100),
    (nn.BatchNorm2d(4), 4, 2 * 400),
    (nn.Hardswish(), 4, 400),
    (nn.MaxPool2d(2), 4, 4 * 100),
    (nn.AvgPool2d(3, 2, 1), 4, 9 * 100),
    (nn.AdaptiveAvgPool2d(1), 4, 400),
    (nn.Softmax(1), 4, 5 * 400),
    (nn.Sequential(nn.Flatten(), nn.Linear(400, 7)), 4, 2 * 2800 + 7),
    (nn.PixelShuffle(2), 4, 0),
]


@pytest.mark.parametrize(("layer", "channels", "flops"), FLOPS, ids=lambda value: str(value).split("\n")[0])
def test_floating_point_operations_by_hand(layer, channels, flops):
    assert profile(layer, size=10, in_channels=channels).flops == flops


def test_bytes_go_by_the_type_and_intensity_is_their_share():
    layer = nn.Conv2d(4, 8, 1, bias=False)
    whole = profile(layer, size=10, in_channels=4)
    assert whole.memory_bytes == 4 * whole.memory_access == 4 * (1200 + 32)
    assert whole.intensity == 6400 / 4928
    half = profile(layer.half(), inputs=(torch.zeros(1, 4, 10, 10, dtype=torch.half),))
    assert half.memory_bytes == 2 * whole.memory_access


def test_peak_memory_is_what_is_alive_at_one_time():
    wide = nn.Sequential(nn.Conv2d(4, 64, 1, bias=False), nn.ReLU(), nn.Conv2d(64, 4, 1, bias=False))
    assert profile(wide, size=10, in_channels=4).peak_memory == 4 * 100 * (4 + 64 + 64)
    wide[1] = nn.ReLU(inplace=True)
    assert profile(wide, size=10, in_channels=4).peak_memory == 4 * 100 * (4 + 64 + 4)


class Odd(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x) if x.ndim == 4 else x


class Looks(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_has_no_formula_is_told_by_name():
    assert "linalg_inv_ex" in profile(Odd(), size=5).not_counted
    assert profile(nn.Conv2d(3, 4, 1), size=5).not_counted == {}


def test_a_network_that_looks_at_numbers_is_refused_in_one_line():
    with pytest.raises(ValueError, match="cannot be run on shapes alone") as caught:
        profile(Looks(), size=5)
    assert "\n" not in str(caught.value)


def test_every_network_of_a_kind_is_counted_whole():
    for name in (
        "shufflenet_v2_x0_5",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "vit_ti_16",
        "googlenet_paper",
        "cbam_resnet18",
    ):
        with torch.device("meta"):
            network = zoo.create(name)
        assert profile(network, size=64).not_counted == {}, name


def test_networks_too_large_for_memory_are_counted_from_shapes():
    """RepVGG-D2se weighs half a gigabyte as it trains; none of it is made, and nothing is computed."""
    large = (("repvgg_d2se", 320, 74_437_325_312), ("vgg19", 224, 19_632_062_464), ("vit_b_16", 224, 17_563_828_224))
    for name, size, macs in large:
        with torch.device("meta"):
            network = zoo.create(name)
        assert profile(network, size=size).macs == macs, name
        assert all(parameter.is_meta for parameter in network.parameters())


def test_the_example_by_hand_in_the_docs():
    with torch.device("meta"):
        unit = profile(zoo.create("shufflenet_v2_x1_0")).modules(depth=3)["stages.0.1"]
    assert (unit.macs, unit.memory_access) == (5_684_000, 1_099_274)


def test_operations_know_their_module_kind_and_weights():
    network = zoo.create("shufflenet_v2_x0_5")
    found = profile(network, size=64)
    convolutions = [o for o in found.operations if o.kind is Kind.CONVOLUTION]
    assert len(convolutions) == sum(isinstance(m, nn.Conv2d) for m in network.modules())
    first = convolutions[0]
    assert (first.module, first.detail, first.output) == ("stem.0.conv", "3x3 stride 2", (1, 24, 32, 32))
    assert first.weights == (("stem.0.conv.weight", 24 * 27),)
    assert any(o.detail == "3x3 depthwise stride 2" for o in convolutions)


def test_rows_add_up_whatever_they_are_grouped_by(tmp_path):
    found = profile(zoo.create("shufflenet_v2_x0_5"), size=64)
    for by in ("kind", "operation"):
        assert sum(row["memory_access"] for row in report.rows(found, by=by)) == found.memory_access
    parts = report.rows(found, by="module", depth=1)
    assert [row["name"] for row in parts] == ["stem", "stages", "neck", "pool", "classifier"]
    assert sum(row["params"] for row in parts) == found.params
    assert found.modules(depth=1)["stages"].macs == parts[1]["macs"]
    write_json(tmp_path / "profile.json", report.to_dict(found))
    assert json.loads((tmp_path / "profile.json").read_text())["macs"] == found.macs
    write_csv(tmp_path / "profile.csv", report.rows(found, by="operation"))
    with (tmp_path / "profile.csv").open() as file:
        assert sum(int(row["macs"]) for row in csv.DictReader(file)) == found.macs


def test_times_belong_to_the_operations_that_were_counted():
    network = zoo.create("shufflenet_v2_x0_5").eval()
    x = torch.randn(1, 3, 64, 64)
    timing = time_operations(network, (x,), rounds=3, warmup=1)
    counted = trace(network, (x,)).operations
    assert [(t.operation.name, t.operation.module) for t in timing.operations] == [(o.name, o.module) for o in counted]
    assert timing.sum > 0
    assert sum(timing.share(timed) for timed in timing.operations) == pytest.approx(1)
    rows = report.rows(profile(network, size=64), timing=timing)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["ms"] for row in rows) == pytest.approx(timing.sum)


def test_the_roof_is_the_lower_of_two_limits():
    roof = Roof(gflops=100, memory=10, cache=50, threads=1)
    assert roof.ridge == 10
    assert (roof.attainable(5), roof.attainable(20)) == (50, 100)
    measured = measure_roof(seconds=0.1)
    assert measured.gflops > 0
    assert measured.cache > 0
