"""The verdicts of the four guidelines, and the experiments behind them."""

import pytest
import torch
from torch import nn

import riffle
from riffle import zoo
from riffle.hardware import environment
from riffle.profiling import lab
from riffle.profiling.cost import profile
from riffle.profiling.guidelines import is_shuffle, judge
from riffle.profiling.latency import Latency
from riffle.profiling.timing import Timed, Timing
from riffle.verbs.guidelines import Lab, ablations, run_lab


def findings_of(network, size=56, in_channels=3):
    return judge(profile(network, size=size, in_channels=in_channels)).findings


def named(name):
    with torch.device("meta"):
        return zoo.create(name)


def test_g1_by_hand():
    """56 x 56 pixels, 8 to 128 channels: access 56^2 136 + 1024, least 2 56^2 32 + 1024."""
    (found,) = findings_of(nn.Conv2d(8, 128, 1, bias=False), in_channels=8)
    assert found.guideline == "G1"
    access, least = 56**2 * 136 + 1024, 2 * 56**2 * 32 + 1024
    assert found.extra_bytes == 4 * (access - least)
    assert found.share == 1
    assert found.saving == pytest.approx(1 - least / access)
    assert "16 times the channels" in found.what
    (narrowing,) = findings_of(nn.Conv2d(128, 8, 1, bias=False), in_channels=128)
    assert "1/16 of the channels" in narrowing.what
    assert findings_of(nn.Conv2d(32, 32, 1, bias=False), in_channels=32) == ()
    assert findings_of(nn.Conv2d(1280, 64, 1, bias=False), size=1, in_channels=1280) == ()  # weights are the access


def test_g2_by_hand():
    """Four groups of 64 channels against a dense convolution of 32: as many MACs, half the maps."""
    (found,) = findings_of(nn.Conv2d(64, 64, 1, groups=4, bias=False), in_channels=64)
    assert found.guideline == "G2"
    assert found.extra_bytes == 4 * (56**2 * 128 + 1024 - (56**2 * 64 + 1024))
    assert findings_of(nn.Conv2d(64, 64, 3, groups=64, bias=False), in_channels=64) == ()  # depthwise is no group


class Branches(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(count))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def test_g3_counts_branches_from_one_value():
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    assert "G3" not in {found.guideline for found in findings_of(nn.Sequential(stem, Branches(2)))}
    (found,) = (f for f in findings_of(nn.Sequential(stem, Branches(4))) if f.guideline == "G3")
    assert found.count == 3
    assert found.extra_bytes == 3 * 4 * 56**2 * 16


NAMED = [
    ("shufflenet_v2_x1_0", "G4", "channel shuffles", 16),
    ("shufflenet_v2_x1_0", "G4", "batch norms behind convolutions", 56),
    ("shufflenet_v1_g3_x1_0", "G2", "convolutions of 3 groups", 31),
    ("shufflenet_v1_g3_x1_0", "G4", "channel shuffles behind grouped convolutions", 15),
    ("mobilenet_v2", "G1", "1x1 convolutions to 6 times the channels", 13),
    ("googlenet", "G3", "branches beside others, 4 of which start from one value", 27),
    ("efficientnet_lite0", "G4", "paddings of their own", 5),
    ("mobilenet_v3_large", "G4", "products with gates", 8),
]


@pytest.mark.parametrize(("name", "guideline", "what", "count"), NAMED)
def test_known_networks(name, guideline, what, count):
    network = named(name)
    found = {(f.guideline, f.what): f.count for f in judge(profile(network, inputs=network.example_inputs())).findings}
    assert found[guideline, what] == count


@pytest.mark.parametrize("name", ["vgg16", "vgg11_bn"])
def test_a_clean_bill(name):
    network = riffle.fuse(zoo.create(name)) if name.endswith("_bn") else named(name)
    verdict = judge(profile(network))
    assert verdict.is_clean
    assert str(verdict) == "follows all four guidelines"


def test_attentions_transposed_heads_are_no_shuffle():
    for name, shuffles in (("vit_ti_16", 0), ("shufflenet_v2_x0_5", 16)):
        operations = profile(named(name)).operations
        assert sum(is_shuffle(operations, index) for index in range(len(operations))) == shuffles, name

    class Tokens(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).reshape(1, 64, 8)

    operations = profile(nn.Sequential(nn.Conv2d(3, 8, 1), Tokens()), size=8).operations
    assert not any(is_shuffle(operations, index) for index in range(len(operations)))
    torchs = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ChannelShuffle(2), nn.Conv2d(8, 8, 1))
    operations = profile(torchs, size=8).operations
    assert sum(is_shuffle(operations, index) for index in range(len(operations))) == 1


def test_measured_times_decide_the_order():
    """The same network, but its addition is slow here: that comes first, with its share of the time."""

    class Twice(nn.Module):
        def forward(self, x):
            return torch.cat([x + x.flip(1), x], 1)

    counted = profile(Twice(), size=8)
    slow = [8.0 if operation.name == "add" else 1.0 for operation in counted.operations]
    each = tuple(Timed(o, Latency(ms, ms, ms, 1, 1)) for o, ms in zip(counted.operations, slow, strict=True))
    timing = Timing(Latency(10, 10, 10, 1, 1), each, 0.5, environment())
    first, *others = judge(counted, timing).findings
    assert first.what == "add operations of two values"
    assert first.share == pytest.approx(0.8)
    small = next(found for found in others if found.guideline == "G3")
    assert small.count == 2  # the copy and the concatenation take less than three starts of half a millisecond
    assert small.saving == pytest.approx(0.1)


def test_a_networks_verdict_from_python():
    verdict = riffle.guidelines("shufflenet_v2_x0_5", size=64, rounds=2)
    assert verdict.timing is not None
    assert any(found.what == "batch norms behind convolutions" for found in verdict.findings)
    unmeasured = riffle.guidelines(zoo.create("shufflenet_v2_x0_5"), time=False)
    assert unmeasured.whole == "memory access"


def test_settings_are_the_papers():
    settings = lab.settings()
    assert len(settings) == 3 * (4 + 4 + 5 + 4)
    narrow = {(s.table, s.name): s for s in settings if s.scale == 1}
    assert narrow[1, "1:12"].widths == (9, 108)
    assert narrow[1, "1:12"].paper == {"arm": 57.6, "gpu": 748}
    assert narrow[2, "8 groups"].c_in == 184  # 180 channels have no 8 groups
    assert narrow[3, "4-fragment-parallel"].c_in == 32  # four of 32 x 32 compute as much as one of 64 x 64
    for table, tolerance in ((1, 0.06), (2, 0.05), (3, 0.02), (4, 0)):
        macs = [profile(s.stack(), size=56, in_channels=s.c_in).macs for (t, _), s in narrow.items() if t == table]
        assert max(macs) <= (1 + tolerance) * min(macs), table
    assert {s.widths for s in lab.settings("gpu") if s.table == 3} == {(128,), (256,), (512,)}


def test_a_quick_test_of_one_table(monkeypatch):
    monkeypatch.setattr(lab, "SIDE", 8)
    experiments = lab.run(scales=(1,), rounds=2)
    assert [experiment.guideline for experiment in experiments] == ["G1", "G2", "G3", "G4"]
    assert experiments[0].in_the_paper("arm") == pytest.approx(76.2 / 57.6)
    assert experiments[3].in_the_paper("gpu") == pytest.approx(2842 / 2427)
    assert all(experiment.rows[0].relative == 1 for experiment in experiments)
    found = Lab(experiments, [], "cpu", 1, 1)
    assert [row["holds"] for row in found.verdicts()] == [experiment.here > 1.05 for experiment in experiments]


def test_ablations_take_only_the_shuffles_away():
    (found,) = ablations(rounds=1, names=["shufflenet_v1_g8_x0_25"])
    assert found.errors == (56.5, 52.7)
    assert found.macs == 12_426_240
    assert found.cost == 1 - found.plain.median / found.shuffled.median


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match="no cuda here"):
        run_lab(device="cuda")
