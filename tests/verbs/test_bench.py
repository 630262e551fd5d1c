"""``riffle bench``: files and networks side by side."""

import csv

import numpy as np
import pytest

from riffle.cli.app import run as run_command
from riffle.verbs import bench as verb
from riffle.verbs.bench import bench
from riffle.verbs.footprint import Footprint, footprint


@pytest.fixture
def known_footprint(monkeypatch):
    monkeypatch.setattr(verb, "footprint", lambda source, **_: Footprint(load=12.5, memory=3_000_000))


def test_a_file_and_a_network_are_measured_in_turn(shipped, known_footprint, tmp_path, capsys):
    path = tmp_path / "times.csv"
    sources = [str(shipped), "lenet"]
    assert run_command(["bench", *sources, "--rounds", "3", "--size", "32", "--csv", str(path)]) == 1
    assert "lenet" in capsys.readouterr().err  # which takes no pictures so small
    assert not path.exists()
    sources = [str(shipped), "shufflenet_v2_x0_5"]
    assert run_command(["bench", *sources, "--rounds", "3", "--size", "32", "--csv", str(path)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert all(any(line.startswith(source) for line in told.out.splitlines()) for source in sources)
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["source"], first["runtime"], first["pixels"]) == (str(shipped), "ONNX Runtime", "32")
    assert (second["source"], second["runtime"], second["precision"]) == ("shufflenet_v2_x0_5", "torch", "float32")
    assert float(first["ratio_to_first"]) == 1
    ratio = float(second["median_ms"]) / float(first["median_ms"])
    assert float(second["ratio_to_first"]) == pytest.approx(ratio, rel=0.01)
    assert int(first["bytes"]) == shipped.stat().st_size
    assert (first["load_ms"], first["memory_bytes"], first["timing"]) == ("12.5", "3000000", "hot")
    assert (first["threads"], first["rounds"]) == ("1", "3")
    assert first["processor"]
    assert first["onnxruntime"]


def test_cold_times_single_calls(shipped, known_footprint, monkeypatch):
    ways = []
    for way in ("measure", "measure_blocks"):
        real = getattr(verb, way)
        monkeypatch.setattr(verb, way, lambda *a, way=way, real=real, **k: (ways.append(way), real(*a, **k))[1])
    for cold in (True, False):
        (one,) = bench([str(shipped)], rounds=2, cold=cold)
        assert one.latency.lower <= one.latency.median <= one.latency.upper
        assert verb.row_of(one, cold=cold)["timing"] == ("cold" if cold else "hot")
    assert ways == ["measure", "measure_blocks"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "at least one file or network"),
        (["{file}", "--rounds", "0"], "one round"),
        (["{file}", "--threads", "0"], "one thread"),
        (["{file}", "--size", "64"], "takes pictures of 32 pixels, not of 64"),
        (["nothing.xml"], "no file at nothing.xml"),
        (["shuflenet_v2_x0_5"], "shufflenet_v2_x0_5"),
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments, words, shipped, capsys):
    assert run_command(["bench", *(argument.format(file=shipped) for argument in arguments)]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1


@pytest.mark.slow  # a process of its own has everything to import
def test_load_time_and_memory_are_of_a_process_of_its_own(shipped, tmp_path):
    small = footprint(str(shipped))
    large = footprint("resnet18", size=32)
    assert 0 < small.load < large.load
    assert small.memory is not None
    assert large.memory is not None
    assert large.memory > 46_000_000 > small.memory > 1_000_000  # resnet18 alone has 46.8 MB of weights
    with pytest.raises(ValueError, match=r"nothing.onnx can't be loaded: .*no file at"):
        footprint(str(tmp_path / "nothing.onnx"))


def test_a_file_runs_as_bound_as_it_does_unbound(shipped):
    from riffle.deployment.session import Session

    session = Session(shipped, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    before = session.probabilities(pixels)
    session.bound(pixels)()
    assert np.array_equal(session.probabilities(pixels), before)
