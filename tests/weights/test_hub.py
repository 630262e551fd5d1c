"""Publishing on the Hub and loading from it: the Hub's own library, with a Hub in memory behind it."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import torch
from torch import nn

from fake_hub import FakeHub, sha
from random_networks import randomize
from riffle import zoo
from riffle.card import Card, card_of
from riffle.compression import fuse
from riffle.preprocessing import Preprocessing
from riffle.verbs.push import push
from riffle.weights import hub as hub_of_riffle
from riffle.weights import sources
from riffle.weights.native import CONFIG, README, WEIGHTS, Record, read_config, save_folder

NAME = "shufflenet_v1_g3_x0_25"
NET = "me/net"


def small(**facts) -> nn.Module:
    network = randomize(zoo.create(NAME, num_classes=3)).float()
    network.card = replace(card_of(network), classes=("a", "b", "c"), preprocessing=Preprocessing(32, 32), **facts)
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_folder(small(), tmp_path / "net", Record(expected={"top1": 61.5}))
    return tmp_path / "net"


@pytest.fixture
def published(hub: FakeHub, saved: Path) -> FakeHub:
    """A Hub with ``you/net``, whose second commit is of three other classes."""
    for classes in ("abc", "xyz"):
        config = read_config(saved)
        config["classes"] = list(classes)
        (saved / CONFIG).write_text(json.dumps(config))
        hub.put("you/net", {path.name: path.read_bytes() for path in saved.iterdir()})
    return hub


def refused(call, *words: str) -> None:
    """The call is answered with one line that has all the words."""
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_what_is_pushed_is_what_is_loaded(hub, finished_run):
    address = push(finished_run.folder.path, "me/digits", licence="mit")
    assert address == "https://huggingface.co/me/digits"
    repository = hub.repositories["me/digits"]
    assert repository.files.keys() == {CONFIG, README, WEIGHTS}
    assert len(repository.commits) == 1
    assert repository.messages == [f"shufflenet_v2_x0_5, top-1 {finished_run.state.best['top1']:.2f} %"]
    assert not repository.private
    network = zoo.load("me/digits")
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(pictures), finished_run.model(pictures))
    assert not network.training
    assert card_of(network) == card_of(finished_run.model)


def test_the_published_card_tells_how_to_have_it(hub, finished_run):
    push(finished_run, "me/digits", licence="mit")
    readme = hub.repositories["me/digits"].files[README].decode()
    for words in ('riffle.load("me/digits")', "riffle predict me/digits", "license: mit", "of 12 held-out pictures"):
        assert words in readme
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    picture = finished_run.validation[0]
    names: dict[str, object] = {}
    exec(program.replace("picture.jpg", str(picture)), names)
    assert names["shares"].shape == (3,)


def test_places_on_this_machine_are_not_told(hub, finished_run):
    push(finished_run, "me/digits")
    files = hub.repositories["me/digits"].files
    place = str(Path(finished_run.setup.data).parent)
    config = json.loads((finished_run.folder.best / CONFIG).read_text())
    assert config["reproduce"]["data"] == f"{place}/pictures"
    assert not any(place.encode() in content for content in files.values())
    told = json.loads(files[CONFIG])["reproduce"]
    assert told == {**config["reproduce"], "data": "pictures"}


@pytest.mark.parametrize("source", ["a folder", "a network", "a fused one"])
def test_what_can_be_pushed(hub, saved, source):
    network = {"a folder": saved, "a network": small(), "a fused one": fuse(small())}[source]
    push(network, NET, message="first")
    assert hub.repositories[NET].messages == ["first"]
    loaded = zoo.load(NET)
    expected = zoo.load(saved) if source == "a folder" else network
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(x), expected.eval()(x))
    assert "multiply-accumulates" in hub.repositories[NET].files[README].decode()


def test_a_second_push_is_a_second_commit(hub, saved):
    push(saved, NET)
    push(small(rewrites=()), NET, message="again")
    assert hub.repositories[NET].messages == [NAME, "again"]


def test_a_network_is_fetched_once_and_then_kept(published):
    zoo.load("you/net")
    published.asked.clear()
    zoo.load("you/net")
    assert not [request for request in published.asked if request.endswith(WEIGHTS)]
    published.unreachable = True
    assert card_of(zoo.load("you/net")).classes == ("x", "y", "z")


def test_a_revision_is_had_by_its_name(published):
    assert card_of(zoo.load(f"you/net@{sha(1)}")).classes == ("a", "b", "c")
    assert card_of(zoo.load("you/net@main")).classes == ("x", "y", "z")


def test_only_our_files_are_fetched(published):
    files = {**published.repositories["you/net"].files, "pytorch_model.bin": b"pickle", "code.py": b"exit()"}
    published.put("you/net", files)
    zoo.load("you/net")
    assert {request.rsplit("/", 1)[1] for request in published.asked if "/resolve/" in request} == {
        CONFIG,
        README,
        WEIGHTS,
    }


def test_what_lies_here_comes_first(published, saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    (saved.parent / "you").mkdir()
    save_folder(small(), saved.parent / "you" / "net", Record())
    assert card_of(zoo.load("you/net")).classes == ("a", "b", "c")
    (saved.parent / "you" / "empty").mkdir()
    refused(lambda: zoo.load("you/empty"), "holds no saved network")
    assert not published.asked


def test_weights_from_the_hub(published):
    created = zoo.create(NAME, weights="you/net", num_classes=5)
    loaded = zoo.load("you/net")
    assert torch.equal(created.stem[0].conv.weight, loaded.stem[0].conv.weight)
    assert created.classifier.out_features == 5
    refused(lambda: zoo.create("shufflenet_v1_g3_x0_5", weights="you/net"), f"holds the weights of {NAME}")


@pytest.mark.parametrize(
    "words", ["nowhere", "./me/net", "/me/net", "a/b/c", "me/net.pth", "me/", "", "me/ne t", "~/me"]
)
def test_what_is_no_address_is_not_asked_for(hub, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    if words:
        refused(lambda: zoo.load(words), f"there is nothing at {Path(words)}", "owner/name on the Hub")
    refused(lambda: zoo.load(Path("me/net")), "there is nothing at me/net")
    assert not hub.asked


def test_loading_what_is_not_there(hub, published, saved):
    hub.put("you/secret", published.repositories["you/net"].files, private=True)
    hub.owner = "you"
    hub.put("them/bert", {CONFIG: b'{"architectures": ["BertModel"]}', WEIGHTS: b"gigabytes"})
    hub.put("them/data", {"README.md": b"data", "a.csv": b"1"})
    hub.put("them/empty", {})
    files = dict(published.repositories["you/net"].files)
    hub.put("them/damaged", {**files, WEIGHTS: b"damaged"})
    hub.put("them/lost", {CONFIG: files[CONFIG]})
    refused(lambda: zoo.load("me/none"), "no folder me/none here", "the Hub has no me/none")
    refused(lambda: zoo.load("you/net@v9"), "you/net on the Hub has no revision v9")
    for name in ("them/bert", "them/data", "them/empty"):
        refused(
            lambda name=name: zoo.load(name), f"{name} on the Hub is not a network that this version of Riffle saved"
        )
    assert not [request for request in hub.asked if WEIGHTS in request]
    for name in ("them/damaged", "them/lost"):
        refused(lambda name=name: zoo.load(name), f"{name} on the Hub can't be loaded", WEIGHTS)


def test_loading_what_is_private(published, monkeypatch):
    published.put("you/secret", published.repositories["you/net"].files, private=True)
    zoo.load("you/secret")
    monkeypatch.delenv("HF_TOKEN")
    refused(lambda: zoo.load("you/hidden"), "the Hub has no you/hidden, or it is private")


def test_loading_with_a_token_that_has_expired(published, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    refused(lambda: zoo.load("you/net"), "the Hub refuses: it does not know the token: run `hf auth login`")


@pytest.mark.parametrize(
    ("status", "words"), [(403, "the token gives no such right to you/net"), (500, "out of order")]
)
def test_loading_what_the_hub_refuses(published, status, words):
    published.refuses = status
    refused(lambda: zoo.load("you/net"), "the Hub refuses: ", words)


def test_loading_without_a_network(published, caplog):
    published.unreachable = True
    refused(lambda: zoo.load("you/net"), "the Hub did not answer (", "resolution), nor was you/net fetched before")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_download_that_breaks_goes_on_the_next_time(published):
    published.breaks_at = WEIGHTS
    with pytest.raises(ValueError, match="you/net") as caught:
        zoo.load("you/net")
    assert "\n" not in str(caught.value)
    published.breaks_at = None
    assert card_of(zoo.load("you/net")).classes == ("x", "y", "z")


@pytest.mark.parametrize(
    "arguments",
    [{"num_classes": -3}, {"num_classes": "x"}, {"num_classes": [1]}, {"num_classes": 0.5}, {"widths": {}}, {"a": 1}],
    ids=str,
)
def test_a_description_from_a_stranger_is_refused_in_one_line(published, arguments):
    files = dict(published.repositories["you/net"].files)
    config = {**json.loads(files[CONFIG]), "arguments": arguments}
    published.put("you/net", {**files, CONFIG: json.dumps(config).encode()})
    refused(lambda: zoo.load("you/net"), "you/net on the Hub can't be loaded")


@pytest.mark.parametrize("name", ["net", "me/net/more", "", "me/", "/net", "me/n t", "me/net\n", "../net", "me/net@v1"])
def test_a_name_that_is_none(hub, saved, name):
    refused(lambda: push(saved, name), "owner/name")
    assert not hub.asked


def test_pushing_what_is_not_there_or_broken(hub, saved, tmp_path):
    refused(lambda: push(tmp_path / "nowhere", NET), "there is nothing at")
    (tmp_path / "run").mkdir()
    refused(lambda: push(tmp_path / "run", NET), "holds no saved network")
    refused(lambda: push(saved / CONFIG, NET), CONFIG)
    (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:-100])
    refused(lambda: push(saved, NET), WEIGHTS, "cannot be read")
    (saved / WEIGHTS).unlink()
    refused(lambda: push(saved, NET), WEIGHTS)
    own = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    own.card = Card(classes=("a", "b"))
    save_folder(own, tmp_path / "own", Record())
    for source in (own, tmp_path / "own"):
        refused(lambda source=source: push(source, NET), "Riffle has no name for")
    refused(lambda: push(saved, NET, licence="My Licence: 'mine'\n"), "apache-2.0")
    assert not hub.repositories
    assert not hub.asked


def test_pushing_without_a_token_or_rights(hub, saved, monkeypatch):
    refused(lambda: push(saved, "you/net"), "the token gives no such right to you/net")
    hub.put("you/there", {})
    refused(lambda: push(saved, "you/there"), "the token gives no such right to you/there")
    assert hub.repositories["you/there"].files == {}
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    refused(lambda: push(saved, NET), "it does not know the token", "hf auth login")
    monkeypatch.delenv("HF_TOKEN")
    hub.asked.clear()
    refused(lambda: push(saved, NET), "hf auth login", "HF_TOKEN")
    assert not hub.asked


@pytest.mark.parametrize("where", ["/api/repos/create", "/preupload/", "/commit/"])
def test_pushing_over_a_broken_connection(hub, saved, where):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    hub.breaks_at = where
    refused(lambda: push(saved, NET), "the Hub could not be reached", "resolution")
    assert not any(repository.files for repository in hub.repositories.values())
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    hub.breaks_at = None
    push(saved, NET)
    assert hub.repositories[NET].files.keys() == {CONFIG, README, WEIGHTS}


def test_a_card_that_the_hub_refuses(hub, saved):
    hub.refuses_readme = '"license" must be one of [apache-2.0, mit]'
    refused(lambda: push(saved, NET, licence="of-my-own"), "license", "must be one of")
    assert hub.repositories[NET].files == {}


def test_private_is_private(hub, saved):
    push(saved, NET, private=True)
    assert hub.repositories[NET].private
    push(saved, NET, private=True)
    hub.put("me/open", {})
    refused(lambda: push(saved, "me/open", private=True), "me/open is there already and public", "nothing was uploaded")
    assert hub.repositories["me/open"].files == {}


@pytest.mark.parametrize("files", [{CONFIG: b'{"model_type": "bert"}'}, {WEIGHTS: b"theirs"}], ids=str)
def test_a_model_of_another_kind_is_left_alone(hub, saved, files):
    hub.put("me/bert", files)
    refused(lambda: push(saved, "me/bert"), "me/bert holds a model that is not Riffle's", "nothing was uploaded")
    assert hub.repositories["me/bert"].files == files


def test_a_readme_written_on_the_hub_stays_in_its_history(hub, saved):
    hub.put(NET, {".gitattributes": b"*.bin lfs", README: b"by hand"})
    push(saved, NET)
    assert hub.repositories[NET].commits[0][README] == b"by hand"
    assert hub.repositories[NET].files.keys() == {".gitattributes", CONFIG, README, WEIGHTS}


def test_nothing_is_left_on_the_disk(hub, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    push(saved, NET)
    hub.breaks_at = "/commit/"
    with pytest.raises(ValueError, match="could not be reached"):
        push(saved, NET, message="again", licence="mit")
    assert not list((tmp_path / "scratch").iterdir())


def test_a_full_disk_is_not_the_hubs_fault(published, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(OSError, match="No space left"):
        zoo.load("you/net")


def test_published_weights_of_others_come_by_the_same_way(hub):
    hub.put("timm/resnet", {"pytorch_model.bin": b"tensors", "model.safetensors": b"tensors"})
    source = replace(sources.table()[0], origin="timm", address="hf:timm/resnet")
    assert sources._file(source).read_bytes() == b"tensors"
    hub.put("timm/other", {"model.safetensors": b"tensors"})
    other = replace(source, address="hf:timm/other")
    refused(lambda: sources._file(other), "timm/other on the Hub has no pytorch_model.bin")


def test_an_error_of_the_transport_is_known_whatever_it_is_called():
    for error in (httpx2.ReadTimeout("slow"), ConnectionResetError(104, "reset"), RuntimeError("CAS\nservice")):
        with pytest.raises(ValueError, match="the Hub could not be reached: ") as caught, hub_of_riffle._in_words(NET):
            raise error
        assert "\n" not in str(caught.value)
