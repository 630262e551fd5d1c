"""Every runtime: the file answers as the network does, and whatever is wrong is one clear line."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import riffle
from riffle.card import card_of
from riffle.cli.app import run as run_command
from riffle.deployment import runtimes
from riffle.deployment.engine import METADATA
from riffle.deployment.runtimes import RUNTIMES
from riffle.deployment.session import Session
from riffle.deployment.verify import TOLERANCES, VerificationError, verify
from riffle.layers.pixel_input import PixelInput
from riffle.training.transfer import head_of

HEAVY = ("executorch", "litert")  # they take longer to import than all the others to run
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in RUNTIMES]
PREPROCESSING = riffle.Preprocessing(size=64, resize=72, interpolation="bicubic", mean=(0.5, 0.4, 0.3))
BLUE_FIRST = replace(PREPROCESSING, channels="BGR")


def ready(name: str) -> runtimes.Runtime:
    """A runtime, or the test is skipped with the hint that a user would see."""
    try:
        RUNTIMES[name].require(to_write=True)
    except ValueError as hint:
        pytest.skip(str(hint))
    return RUNTIMES[name]


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 50, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """A small network that tells pictures apart."""
    torch.manual_seed(0)
    made = riffle.create("lenet", num_classes=3, size=64).eval()
    torch.nn.init.normal_(head_of(made).weight)
    made.card = replace(card_of(made), classes=("猫", "dog", "a b"), preprocessing=PREPROCESSING)
    return made


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """Makes a runtime's file when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def file(name: str) -> Path:
        runtime = ready(name)
        if name not in made:
            made[name] = riffle.export(network, folder / name / f"net.work{runtime.suffix}", data=pictures(4))
        return made[name]

    return file


@pytest.mark.parametrize("name", EACH)
def test_a_file_answers_as_the_network_does(name, files, network):
    path = files(name)
    assert sorted(path.parent.iterdir()) == sorted(RUNTIMES[name].parts(path))
    session = riffle.Session(path, threads=1)
    assert session.classes == ("猫", "dog", "a b")
    assert session.preprocessing == PREPROCESSING
    assert (session.name, session.precision, session.runtime) == ("lenet", "float32", name)
    pixels = np.stack([PREPROCESSING.pixels(picture) for picture in pictures(5)])
    with torch.inference_mode():
        expected = network(PixelInput(PREPROCESSING)(torch.from_numpy(pixels))).softmax(1).numpy()
    assert np.ptp(expected, axis=0).max() > 0.01
    for batch in (1, 5, 2):
        shares = session.probabilities(pixels[:batch])
        assert shares.shape == (batch, 3)
        assert shares.dtype == np.float32
        assert np.abs(shares - expected[:batch]).max() < 1e-5
    bound = session.bound(pixels[:1])
    for _ in range(3):
        bound()
    assert np.abs(session.probabilities(pixels[:1]) - expected[:1]).max() < 1e-5
    loaded = RUNTIMES[name].module().load(path, threads=2)
    assert [one.label for one in loaded.classify(pictures(1)[0])] == [
        one.label for one in session.classify(pictures(1)[0])
    ]


@pytest.mark.parametrize("name", EACH)
def test_a_file_that_disagrees_is_deleted_with_all_its_parts(name, files, network, tmp_path, monkeypatch):
    source, runtime = files(name), RUNTIMES[name]

    def copy(network, preprocessing, path, **_):
        for old, new in zip(runtime.parts(source), runtime.parts(path), strict=True):
            new.write_bytes(old.read_bytes())

    monkeypatch.setattr(f"riffle.deployment.{name}.export", copy)
    other = riffle.create("lenet", num_classes=3, size=64)
    torch.nn.init.normal_(head_of(other).weight)
    target = tmp_path / f"new{runtime.suffix}"
    with pytest.raises(VerificationError, match="and the network disagree on a picture: class"):
        riffle.export(other, target, preprocessing=PREPROCESSING, data=pictures(2))
    assert list(tmp_path.iterdir()) == []
    riffle.export(network, target, data=pictures(2))
    before = {part.name: part.read_bytes() for part in tmp_path.iterdir()}
    with pytest.raises(VerificationError):  # the preprocessing is part of what is compared
        riffle.export(network, target, preprocessing=BLUE_FIRST, data=pictures(2))
    assert {part.name: part.read_bytes() for part in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", EACH)
def test_what_is_no_file_of_ours_is_one_line(name, files, tmp_path):
    runtime, source = RUNTIMES[name], files(name)
    parts = runtime.parts(tmp_path / f"x{runtime.suffix}")
    for part in parts:
        part.write_bytes(b"7767517\nno model at all, but some text that is long enough to be read as a header")
    with pytest.raises(ValueError, match=r"x\..* is not a file that .* can run: .+") as told:
        Session(parts[0])
    assert len(str(told.value).splitlines()) == 1
    for old, part in zip(runtime.parts(source), parts, strict=True):
        part.write_bytes(old.read_bytes())
    Session(parts[0])
    parts[-1].unlink()
    with pytest.raises(ValueError, match=rf"no file at .*{parts[-1].name}"):
        Session(parts[0])


def test_a_foreign_or_too_new_file_is_one_line(shipped, files, tmp_path):
    model = onnx.load(shipped)
    model.opset_import[0].version = 99
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(ValueError, match=r"new.onnx is not a file that ONNX Runtime can run: .*99"):
        Session(tmp_path / "new.onnx")
    source = files("openvino")
    for old, new in zip(*(RUNTIMES["openvino"].parts(path) for path in (source, tmp_path / "new.xml")), strict=True):
        new.write_bytes(old.read_bytes().replace(f"<{METADATA} ".encode(), b"<other "))
    with pytest.raises(ValueError, match=r"new.xml was not exported by Riffle"):
        Session(tmp_path / "new.xml")


@pytest.mark.parametrize(
    ("name", "precision", "magnitude"),
    [("openvino", "float16", 1), ("openvino", "bfloat16", 2), ("ncnn", "float16", 1)],
)
def test_shorter_precisions(name, precision, magnitude, network, tmp_path):
    runtime = ready(name)
    path = riffle.export(network, tmp_path / f"short{runtime.suffix}", data=pictures(4), precision=precision)
    session = Session(path)
    assert session.precision == precision
    assert verify(path, network, PREPROCESSING, pictures(6)).largest_difference < TOLERANCES[precision]
    weights = runtime.parts(path)[1].stat().st_size
    floats = 4 * sum(parameter.numel() for parameter in network.parameters())
    assert weights < 0.6 * floats if precision == "float16" else weights > 0.95 * floats


REFUSED = [
    ("net.onnx", {"precision": "float16"}, "ONNX Runtime computes in float32 here, not in float16"),
    ("net.ncnn.param", {"precision": "bfloat16"}, "ncnn computes in float32 or float16 here, not in bfloat16"),
    ("net.tflite", {"precision": "float16"}, "LiteRT computes in float32 here"),
    ("net.pte", {"precision": "bfloat16"}, "ExecuTorch computes in float32 here"),
    *((f"net{RUNTIMES[name].suffix}", {"batch": "any"}, "takes no batch of any size") for name in (*HEAVY, "ncnn")),
    ("net.h5", {}, "ends in one of .onnx"),
    ("", {}, "is a folder"),
]


@pytest.mark.parametrize(("name", "settings", "words"), REFUSED)
def test_what_a_runtime_cannot_do_is_refused_before_anything_is_written(name, settings, words, network, tmp_path):
    with pytest.raises(ValueError, match=words) as told:
        riffle.export(network, tmp_path / name, **settings)
    assert len(str(told.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_missing_or_broken_runtime_is_one_line_with_the_remedy(name, network, tmp_path, monkeypatch):
    runtime = RUNTIMES[name]
    path = tmp_path / f"x{runtime.suffix}"
    for part in runtime.parts(path):
        part.write_text("anything")
    real = importlib.util.find_spec
    packages = (*runtime.runs_with, *runtime.writes_with)
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package in packages else real(package))
    for use in (lambda: Session(path), lambda: riffle.export(network, path)):
        with pytest.raises(ValueError, match=rf"^{runtime.title} needs .* pip install 'riffle-vision\[{name}\]'$"):
            use()

    def fail(package):
        raise OSError("libnothing.so: cannot open\nmore")

    monkeypatch.setattr(importlib.util, "find_spec", lambda package: True)
    monkeypatch.setattr(runtimes.importlib, "import_module", fail)
    with pytest.raises(ValueError, match=rf"^{runtime.title} is installed and broken: .*: libnothing.so: cannot open$"):
        runtime.require()


def test_the_core_and_the_extras_are_what_the_project_declares():
    import tomllib

    from pictures import REPOSITORY

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["name"] == runtimes.DISTRIBUTION
    assert set(RUNTIMES) - {"onnx"} <= project["optional-dependencies"].keys()


def test_a_network_that_a_runtime_cannot_take_is_one_line(tmp_path):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

    for name in ("onnx", "openvino"):
        target = tmp_path / f"x{ready(name).suffix}"
        with pytest.raises(ValueError, match=r"can't take this network: .+") as told:
            riffle.export(Branching(), target, preprocessing=PREPROCESSING)
        assert len(str(told.value).splitlines()) == 1
        assert list(tmp_path.iterdir()) == []


def test_sessions_need_no_torch_and_say_nothing(files, tmp_path):
    paths = [files("openvino"), files("ncnn")]
    program = """
import sys
sys.modules["torch"] = None  # any import of it fails now
import numpy, riffle
for path in sys.argv[1:]:
    riffle.Session(path).classify(numpy.zeros((9, 9, 3), numpy.uint8))
print([name for name in sys.modules if name == "torch" and sys.modules[name] is not None])
"""
    ran = subprocess.run([sys.executable, "-c", program, *map(str, paths)], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_openvino_leaves_room_for_signal_handlers(files):
    """Its own signal stack is too small where the processor has AMX: the end of any child would kill the process."""
    source = files("openvino")
    program = """
import signal, subprocess, sys
import riffle
from riffle.deployment import signal_stack
signal.signal(signal.SIGCHLD, lambda *_: None)
session = riffle.Session(sys.argv[1])
for _ in range(3):
    subprocess.run([sys.executable, "-c", ""], check=True)
print(signal_stack.size() == 0 or signal_stack.size() >= signal_stack.ENOUGH)
"""
    ran = subprocess.run([sys.executable, "-c", program, str(source)], capture_output=True, text=True, check=True)
    assert ran.stdout == "True\n"


def test_a_file_of_parts_that_do_not_belong_together_is_refused(files, tmp_path):
    parts = RUNTIMES["ncnn"].parts(tmp_path / "x.ncnn.param")
    for old, new in zip(RUNTIMES["ncnn"].parts(files("ncnn")), parts, strict=True):
        new.write_bytes(old.read_bytes())
    parts[1].write_bytes(parts[1].read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"x.ncnn.param is not a file that ncnn can run"):
        Session(parts[0])
    facts = json.loads(parts[2].read_text(encoding="utf-8"))
    del facts["classes"]
    parts[2].write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"x.ncnn.param"):
        Session(parts[0])


COMMANDS = [
    (["--to", "onnx,opnvino"], "no runtime called 'opnvino': did you mean openvino?"),
    (["--to", ""], "no runtime is named"),
    (["--to", "onnx,ncnn", "--precision", "float16"], "ONNX Runtime computes in float32 here"),
    (["--to", "onnx,ncnn", "--batch", "any"], "ncnn runs one picture at a time"),
    (["--to", "onnx", "--form", "plain", "--tune"], "tuning chooses the form"),
    (["--to", "onnx", "--out", "{folder}/x.xml"], "a file for ONNX Runtime ends in .onnx"),
    (["--to", "ncnn", "--out", "{folder}/file/x.ncnn.param"], "{folder}/file"),
    (["--to", "ncnn,onnx", "--out", "{folder}/file"], "{folder}/file"),
]


@pytest.mark.parametrize(("arguments", "words"), COMMANDS)
def test_commands_that_cannot_be_done(arguments, words, finished_run, tmp_path, capsys):
    ready("ncnn")
    (tmp_path / "file").write_text("in the way")
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert run_command(["export", str(finished_run.folder.path), *given]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert words.format(folder=tmp_path) in told
    assert len(told.splitlines()) <= 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("model", ["shufflenet_v1_g3_x0_25", "shufflenet_v2_x0_5_authors"])
def test_shufflenets_run_right_everywhere(name, model, tmp_path):
    """With their shuffles in: V1's stand between grouped convolutions and stay; here also with blue first."""
    runtime = ready(name)
    torch.manual_seed(0)
    made = riffle.fuse(riffle.create(model, num_classes=4))
    how = BLUE_FIRST
    path = riffle.export(made, tmp_path / f"x{runtime.suffix}", preprocessing=how, data=pictures(3))
    assert Session(path).preprocessing == how


@pytest.mark.slow
def test_one_command_writes_all(finished_run, tmp_path, capsys):
    for name in RUNTIMES:
        ready(name)
    out = tmp_path / "files"
    assert run_command(["export", str(finished_run.folder.path), "--to", ",".join(RUNTIMES), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    for runtime in RUNTIMES.values():
        (line,) = [line for line in told.out.splitlines() if line.startswith(f"run{runtime.suffix} ")]
        assert " unshuffled " in line
        assert f" {len(finished_run.validation)} " in line
        assert Session(out / f"run{runtime.suffix}").classes == finished_run.validation.classes
    assert not [entry for entry in out.iterdir() if entry.name.startswith(".")]


def test_a_shuffle_that_stays_is_one_layer_of_ncnn(tmp_path):
    ready("ncnn")
    network = riffle.create("shufflenet_v1_g3_x0_25", num_classes=2).eval()
    path = riffle.export(network, tmp_path / "net.ncnn.param", data=pictures(1), preprocessing=PREPROCESSING)
    kinds = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()[2:]]
    assert kinds.count("ShuffleChannel") == 16  # a shuffle in each unit
    assert "Permute" not in kinds
