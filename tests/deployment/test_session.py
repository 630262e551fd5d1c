import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import riffle
from riffle.card import card_of
from riffle.cli.app import run as run_command
from riffle.deployment.engine import METADATA
from riffle.deployment.session import Session
from riffle.deployment.verify import VerificationError, verify
from riffle.layers.pixel_input import PixelInput
from riffle.verbs.classify import classifier
from riffle.verbs.export import ledger


def test_the_file_takes_pixels_of_any_batch_and_gives_shares(shipped, finished_run):
    session = Session(shipped)
    rng = np.random.default_rng(0)
    to_input = PixelInput(session.preprocessing)
    for batch in (1, 7):
        pixels = rng.integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
        shares = session.probabilities(pixels)
        with torch.inference_mode():
            expected = finished_run.model(to_input(torch.from_numpy(pixels))).softmax(1).numpy()
        assert shares.shape == (batch, 3)
        assert np.allclose(shares.sum(1), 1, atol=1e-5)
        assert np.abs(shares - expected).max() < 1e-5


def test_the_file_knows_its_classes_and_preprocessing(shipped, finished_run):
    session = Session(shipped)
    assert session.classes == ("digit 0", "digit 1", "digit 2")
    assert session.preprocessing == card_of(finished_run.model).preprocessing
    assert session.name == "shufflenet_v2_x0_5"
    model = onnx.load(shipped)
    assert not [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    ranks = [len(value.type.tensor_type.shape.dim) for value in model.graph.value_info]
    assert max(ranks, default=4) <= 4  # no runtime is asked for a five-dimensional transpose


def test_a_picture_as_file_bytes_image_or_array_gets_the_same_answer(shipped, finished_run):
    session = Session(shipped)
    path = finished_run.validation[0]
    with Image.open(path) as image:
        answers = [session.classify(picture) for picture in (path, Path(path).read_bytes(), image, np.asarray(image))]
    assert all(answer == answers[0] for answer in answers)
    assert [round(one.probability, 5) for one in answers[0]] == sorted(
        (round(one.probability, 5) for one in answers[0]), reverse=True
    )
    assert sum(one.probability for one in answers[0]) == pytest.approx(1, abs=1e-5)
    assert len(session.classify(path, top=2)) == 2
    by_network = classifier(finished_run.folder.path).classify(path)
    assert [one.label for one in by_network] == [one.label for one in answers[0]]


def test_a_folder_goes_through_with_its_broken_files_named(shipped, folder_of_digits):
    (folder_of_digits / "digit 0" / "0000a.jpg").write_text("no picture")
    results = dict(Session(shipped).classify_folder(folder_of_digits, top=1, batch_size=7))
    assert len(results) == 61
    assert list(results) == sorted(results)
    bad = [path.name for path, result in results.items() if isinstance(result, riffle.UnreadablePicture)]
    assert bad == ["0000a.jpg"]
    alone = Session(shipped)
    good = [(path, result) for path, result in results.items() if path.name not in bad][::10]
    for path, (one,) in good:
        (again,) = alone.classify(path, top=1)
        assert (again.label, again.probability) == (one.label, pytest.approx(one.probability, abs=1e-5))


def test_files_that_are_not_ours_are_refused_in_one_line(shipped, tmp_path):
    with pytest.raises(ValueError, match="no file at"):
        Session(tmp_path / "nothing.onnx")
    with pytest.raises(
        ValueError, match=r"ends in one of .onnx \(ONNX Runtime\), .xml \(OpenVINO\).*; got .*shipped.h5"
    ):
        Session(tmp_path / "shipped.h5")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"garbage.onnx is not a file that ONNX Runtime can run"):
        Session(garbage)
    model = onnx.load(shipped)
    for entries in ([], [("riffle", "{}")], [("riffle", "no json")]):
        onnx.helper.set_model_props(model, dict(entries))
        onnx.save(model, tmp_path / "foreign.onnx")
        with pytest.raises(ValueError, match="was not exported by Riffle"):
            Session(tmp_path / "foreign.onnx")


def test_a_session_needs_no_torch(shipped, finished_run):
    program = """
import sys
sys.modules["torch"] = None  # any import of it fails now
import riffle
best = riffle.Session(sys.argv[1]).classify(sys.argv[2], top=1)[0]
print(best.label, "torch" in [name for name, module in sys.modules.items() if module is not None])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(shipped), str(finished_run.validation[0])],
        capture_output=True,
        text=True,
        check=True,
    )
    label = Session(shipped).classify(finished_run.validation[0], top=1)[0].label
    assert ran.stdout.strip() == f"{label} False"


def test_a_file_with_other_weights_metadata_or_classes_fails_verification(shipped, finished_run, tmp_path):
    network, preprocessing = finished_run.model, card_of(finished_run.model).preprocessing
    pictures = list(finished_run.validation)
    model = onnx.load(shipped)
    swapped = tmp_path / "swapped.onnx"
    props = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {METADATA: props[METADATA].replace('"resize": 32', '"resize": 40')})
    onnx.save(model, swapped)
    with pytest.raises(VerificationError, match=r"swapped.onnx and the network disagree on .*\.png"):
        verify(swapped, network, preprocessing, pictures)
    other = riffle.create("shufflenet_v2_x0_5", num_classes=3)
    with pytest.raises(VerificationError, match="largest difference"):
        verify(shipped, other, preprocessing, pictures)
    with pytest.raises(ValueError, match="there are none"):
        verify(shipped, network, preprocessing, [])


def test_no_unverified_file_is_left(shipped, finished_run, tmp_path, monkeypatch):
    content = shipped.read_bytes()
    monkeypatch.setattr("riffle.deployment.onnx.export", lambda network, how, path, **_: path.write_bytes(content))
    older = tmp_path / "older.onnx"
    older.write_bytes(b"older")
    other = copy.deepcopy(finished_run.model)
    torch.nn.init.normal_(other.classifier.weight)
    for path in (tmp_path / "new.onnx", older):
        with pytest.raises(VerificationError):
            riffle.export(other, path, data=finished_run.validation)
    assert [entry.name for entry in tmp_path.iterdir()] == ["older.onnx"]
    assert older.read_bytes() == b"older"
    riffle.export(finished_run.model, older, data=finished_run.validation)
    assert older.read_bytes() == content


def test_a_calibrated_file_has_divided_scores_and_tells_the_temperature(finished_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("riffle.verbs.export.fit_temperature", lambda scores: 2.5)
    path = tmp_path / "calibrated.onnx"
    run = str(finished_run.folder.path)
    assert run_command(["export", run, "--calibrate", "--form", "plain", "--out", str(path)]) == 0
    told = capsys.readouterr().out
    assert "temperature 2.5, from 12 held-out pictures: calibration error" in told
    assert "same label on 12 pictures" in told
    session = Session(path)
    assert session.temperature == 2.5
    pixels = np.stack([session.preprocessing.pixels(picture) for picture in finished_run.validation])
    with torch.inference_mode():
        logits = finished_run.model(PixelInput(session.preprocessing)(torch.from_numpy(pixels)))
    assert np.abs(session.probabilities(pixels) - (logits / 2.5).softmax(1).numpy()).max() < 1e-5
    assert np.abs(session.probabilities(pixels) - logits.softmax(1).numpy()).max() > 1e-2
    monkeypatch.setattr("riffle.verbs.export.fit_temperature", lambda scores: None)
    assert run_command(["export", run, "--calibrate", "--out", str(tmp_path / "other.onnx")]) == 1
    assert "no temperature fits 12 held-out pictures with " in capsys.readouterr().err
    assert Session(path).temperature == 2.5
    assert [entry.name for entry in tmp_path.iterdir()] == ["calibrated.onnx"]


def test_export_of_a_network_without_a_card(tmp_path):
    bare = riffle.create("lenet", size=64)
    with pytest.raises(ValueError, match="tells no preprocessing"):
        riffle.export(bare, tmp_path / "bare.onnx")
    path = riffle.export(bare, tmp_path / "bare.onnx", preprocessing=riffle.Preprocessing(size=64, resize=72))
    assert len(riffle.Session(path).classes) == 1000


def test_the_ledger_has_a_line_for_each_step(finished_run, shipped):
    steps = ledger(finished_run, shipped)
    assert [step.name for step in steps] == ["trained", "fused", "exported"]
    assert len({step.top1 for step in steps}) == 1
    assert all(step.latency.lower <= step.latency.median <= step.latency.upper for step in steps)
    assert steps[1].size < steps[0].size
    assert steps[2].size == shipped.stat().st_size
