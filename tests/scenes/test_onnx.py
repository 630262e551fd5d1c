"""The network as convolutions, and the file made of it."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from generated import field_scene

from random_networks import randomize
from riffle.scenes import networks, onnx
from riffle.scenes.convolutional import convolutional
from riffle.scenes.inference import dense
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.reduction import fit
from riffle.scenes.run import Setup, Trained
from riffle.scenes.splits import Split
from riffle.scenes.windows import padded


@pytest.mark.parametrize("name", ["hybridsn", "hybridsn_residual", "separable", "cnn_2d", "cnn_3d"])
def test_convolutions_give_the_same_scores(name):
    torch.manual_seed(0)
    model = randomize(networks.build(name, bands=13, classes=4, window=9))
    cube = torch.randn(13, 20, 15, dtype=torch.float64)
    with torch.no_grad():
        scores = convolutional(model, window=9, bands=13)(padded(cube, 9)[None])[0]
    expected = dense(model, window=9)(cube)
    assert expected.flatten(1).std(1).min() > 1e-3 * expected.abs().max()
    assert (scores - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize(
    ("name", "words"), [("hybridsn_se", "SqueezeExcite looks"), ("hybridsn_cbam", "ChannelGate looks")]
)
def test_gates_see_a_window_as_a_whole(name, words):
    with pytest.raises(ValueError, match=words):
        convolutional(networks.build(name, bands=13, classes=4, window=9), window=9, bands=13)


def made(name: str) -> Trained:
    torch.manual_seed(0)
    scene = field_scene()
    none = np.zeros(0, dtype=np.int64)
    setup = Setup("scene", None, name, scene.classes, SceneRecipe(window=9, components=13))
    network = randomize(networks.build(name, bands=13, classes=3, window=9)).float()
    return Trained(setup, network, fit([scene.cube], "pca", 13), Split(none, none, none))


def test_a_file_takes_raw_spectra_of_any_size(tmp_path):
    trained, scene = made("hybridsn"), field_scene()
    path = tmp_path / "fields.onnx"
    assert onnx.export(trained, path, scene.cube[:16, :20]) <= onnx.TOLERANCE
    session = onnxruntime.InferenceSession(path)
    (shares,) = session.run(None, {"cube": np.moveaxis(scene.cube, -1, 0)[None]})
    expected = dense(trained.network, window=9)(torch.from_numpy(trained.reduction.scene(scene.cube))).softmax(0)
    assert shares.shape == (1, 3, 40, 36)
    assert np.abs(shares[0] - expected.numpy()).max() < 1e-4
    facts = json.loads(session.get_modelmeta().custom_metadata_map["riffle"])
    assert facts == {"classes": list(scene.classes), "window": 9}


@pytest.mark.slow
def test_a_file_with_other_answers_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"fields.onnx gives other probabilities"):
        onnx.export(made("separable"), tmp_path / "fields.onnx", field_scene().cube[:12, :12])
    assert not list(tmp_path.iterdir())
