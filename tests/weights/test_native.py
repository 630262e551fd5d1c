"""Saved networks: what comes back, and what a damaged folder is answered with."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from random_networks import randomize
from riffle import registry, zoo
from riffle.card import Card, card_of
from riffle.compression import fuse
from riffle.preprocessing import Preprocessing
from riffle.training.temperature import calibrate
from riffle.weights.native import CONFIG, WEIGHTS, Record, load_folder, read_config, record_from, save_folder

FACTS = {
    "classes": ("cat", "dög", "bird"),
    "preprocessing": Preprocessing(size=64, resize=72, mean=(0.1, 0.2, 0.3), scale=1.0, channels="BGR"),
}


def small(name: str = "shufflenet_v1_g3_x0_25", **arguments) -> nn.Module:
    network = randomize(zoo.create(name, num_classes=3, **arguments)).float()
    network.card = replace(card_of(network), **FACTS)
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_folder(small(), tmp_path / "net", Record())
    return tmp_path / "net"


@pytest.mark.parametrize(
    "network",
    [
        small(),
        fuse(small("shufflenet_v2_x0_5_authors")),
        small("shufflenet_v2_x0_5", in_channels=1),
        small("lenet", size=64),
        calibrate(small("lenet", size=64), 2.5, torch.zeros(1, 3, 64, 64)),
        registry.build("shufflenet_v1_g2_x0_25", num_classes=3, classifier_bias=False, shuffle_late=True),
    ],
    ids=["v1", "fused", "one channel", "sized", "calibrated", "own arguments"],
)
def test_what_is_saved_comes_back(tmp_path, network):
    save_folder(network.train(), tmp_path / "deep" / "net", Record())
    loaded = load_folder(tmp_path / "deep" / "net")
    assert not loaded.training
    assert card_of(loaded) == card_of(network)
    assert list(loaded.state_dict()) == list(network.state_dict())
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())
    x = torch.randn(2, card_of(network).arguments.get("in_channels", 3), 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), network.eval()(x))


@pytest.mark.parametrize("name", ["repvgg_a0", pytest.param("mobileone_s0", marks=pytest.mark.slow)])
def test_collapsed_branches_come_back(tmp_path, name):
    network = fuse(small(name))
    save_folder(network, tmp_path / "net", Record())
    loaded = load_folder(tmp_path / "net")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in loaded.modules())
    assert list(loaded.state_dict()) == list(network.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))


def test_a_network_without_a_name_is_filled_in_place(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    network.card = Card(classes=("a", "b"))
    save_folder(network, tmp_path / "own", Record())
    with pytest.raises(ValueError, match="build it and pass it as network="):
        load_folder(tmp_path / "own")
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    loaded = zoo.load(tmp_path / "own", network=other)
    assert loaded is other
    assert torch.equal(loaded[2].weight, network[2].weight)
    assert card_of(loaded).classes == ("a", "b")


def test_the_folder_describes_itself(tmp_path):
    record = Record(expected={"top1": 61.5}, reproduce={"recipe": {"epochs": 3}})
    save_folder(small(), tmp_path / "pets", record)
    assert sorted(path.name for path in (tmp_path / "pets").iterdir()) == ["README.md", CONFIG, WEIGHTS]
    config = read_config(tmp_path / "pets")
    assert (config["expected"], config["reproduce"]) == (record.expected, record.reproduce)
    card = (tmp_path / "pets" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert (config["cost"], config["licence"]) == ({}, None)
    for words in (
        "# shufflenet_v1_g3_x0_25",
        "3 classes: `cat`, `dög`, `bird`",
        "`top1`: `61.5`",
        '"epochs": 3',
        "BGR",
    ):
        assert words in card


@pytest.mark.parametrize("error", [TypeError, ZeroDivisionError, AssertionError, KeyError, AttributeError])
def test_arguments_that_break_a_constructor(saved, monkeypatch, error):
    def build(*_, **__):
        raise error("of no use")

    monkeypatch.setattr(registry, "build", build)
    assert "describes no network that can be built: " in answer(saved)


def test_a_folder_of_an_earlier_version_loads(saved):
    config = read_config(saved)
    for later in ("cost", "licence", "temperature"):
        del config[later]
    (saved / CONFIG).write_text(json.dumps(config))
    assert card_of(load_folder(saved)).classes == FACTS["classes"]
    assert card_of(load_folder(saved)).temperature == 1.0
    assert record_from(read_config(saved)) == Record()


def test_a_run_gives_its_best_network(tmp_path):
    save_folder(small(), tmp_path / "run" / "best", Record())
    save_folder(small("lenet", size=64), tmp_path / "run" / "last", Record())
    assert card_of(zoo.load(tmp_path / "run")).name == "shufflenet_v1_g3_x0_25"
    assert card_of(zoo.load(str(tmp_path / "run" / "last"))).name == "lenet"


def answer(folder: Path) -> str:
    """The one line that a folder is refused with."""
    with pytest.raises(ValueError, match=re.escape(str(folder))) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_something_else(tmp_path):
    assert "config.json is missing" in answer(tmp_path)
    assert "config.json is missing" in answer(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b'{"format": 1', b"[]", b"null", b"\xff\xfe\x00", b'{"format": 1}'])
def test_a_damaged_description(saved, content):
    (saved / CONFIG).write_bytes(content)
    assert CONFIG in answer(saved)


@pytest.mark.parametrize("missing", ["format", "name", "arguments", "rewrites", "classes", "preprocessing"])
def test_a_description_without_a_fact(saved, missing):
    config = json.loads((saved / CONFIG).read_text())
    del config[missing]
    (saved / CONFIG).write_text(json.dumps(config))
    assert CONFIG in answer(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"name": 3},
        {"arguments": [1]},
        {"rewrites": None},
        {"classes": 3},
        {"preprocessing": 3},
        {"temperature": "hot"},
        {"preprocessing": {"size": "large"}},
    ],
    ids=str,
)
def test_a_description_with_facts_of_another_kind(saved, change):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps({**config, **change}))
    assert CONFIG in answer(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "shufflenet_v1_g3_x0_26"}, "did you mean shufflenet_v1_g3_x0_25"),
        ({"arguments": {"depth": 3}}, "takes no depth"),
        ({"rewrites": ["prune"]}, "no rewrite called 'prune'"),
    ],
)
def test_a_description_of_another_version(saved, change, words):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=words):
        load_folder(saved)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_truncated_weights(saved, kept):
    content = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(content[:kept])
    assert f"{WEIGHTS} cannot be read" in answer(saved)


def test_missing_weights(saved):
    (saved / WEIGHTS).unlink()
    assert f"{WEIGHTS} cannot be read" in answer(saved)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_classes": 5}, "classifier.weight is (3, 240), not (5, 240)"),
        ({"num_classes": 3, "classifier_bias": False}, "classifier.bias is not in this network"),
        ({"num_classes": 3, "in_channels": 4}, "stem.0.conv.weight is (6, 3, 3, 3), not (6, 4, 3, 3)"),
    ],
    ids=str,
)
def test_weights_of_another_network(saved, arguments, words):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps({**config, "arguments": arguments}))
    assert words in answer(saved)


def test_many_misfits_are_counted(saved):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps({**config, "rewrites": ["fuse"]}))
    assert re.search(r"is not in this network.* and \d+ more$", answer(saved))


class Stop(BaseException):
    """Stands for a key press, a full disk, a power cut."""


@pytest.mark.parametrize(("owner", "step"), [("json", "dumps"), ("pathlib.Path", "write_text")])
@pytest.mark.parametrize("error", [OSError("disk full"), Stop()], ids=["disk full", "stopped"])
def test_an_interrupted_save_leaves_the_old_network(tmp_path, saved, monkeypatch, owner, step, error):
    def fail(*_, **__):
        raise error

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(f"{owner}.{step}", fail)
    with pytest.raises(type(error)):
        save_folder(small("lenet", size=64), saved, Record())
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert list(tmp_path.iterdir()) == [saved]
    assert card_of(load_folder(saved)).name == "shufflenet_v1_g3_x0_25"


def test_a_save_interrupted_at_its_last_step_leaves_a_network(tmp_path, saved, monkeypatch):
    rename = Path.rename

    def fail(path, target):
        if Path(target) == saved and path.name.endswith(".riffle-draft"):
            raise OSError("disk full")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        save_folder(small("lenet", size=64), saved, Record())
    monkeypatch.undo()
    assert card_of(load_folder(saved)).name == "shufflenet_v1_g3_x0_25"


def test_a_save_takes_the_place_of_the_old_one(tmp_path, saved):
    (saved / "old.txt").write_text("of the old one")
    save_folder(small("lenet", size=64), saved, Record())
    assert card_of(load_folder(saved)).name == "lenet"
    assert not (saved / "old.txt").exists()
    assert list(tmp_path.iterdir()) == [saved]
