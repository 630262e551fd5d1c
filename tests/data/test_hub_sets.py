"""Data sets of the Hub; the library's call that would go there is answered from a folder."""

import datasets
import pytest

from pictures import write_digits
from riffle.data.images import read
from riffle.data.sources import title, whereabouts


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """What is on the Hub: a folder that ``datasets`` reads as it reads a repository's files."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    asked = []
    load = datasets.load_dataset

    def answer(path, name=None, **options):
        asked.append((path, name, options))
        return load(str(tmp_path / "repository"))

    monkeypatch.setattr(datasets, "load_dataset", answer)
    return tmp_path / "repository", asked


@pytest.mark.parametrize("held_out", ["validation", "test", None])
def test_splits_and_classes_are_taken_as_they_are(repository, held_out):
    folder, asked = repository
    write_digits(folder / "train", classes=3, each=10)
    if held_out:
        write_digits(folder / held_out, classes=3, each=4)
    split = read("hf://datasets/owner/name@v1#small")
    assert asked == [("owner/name", "small", {"revision": "v1"})]
    assert split.train.classes == ("digit 0", "digit 1", "digit 2")
    assert (len(split.train), len(split.validation)) == ((30, 12) if held_out else (24, 6))


def test_how_it_is_called():
    assert title("hf://datasets/owner/name@v1") == "name"
    assert whereabouts("hf://datasets/owner/name") == "hf://datasets/owner/name"


def test_what_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for address, words in (
        ("hf://datasets/riffle/nothing", "hf://datasets/riffle/nothing cannot be had: Couldn't reach"),
        ("hf://riffle/nothing", "is called hf://datasets/OWNER/NAME; got hf://riffle/nothing"),
        ("owner/name", "owner/name does not exist: give .* or hf://datasets/OWNER/NAME"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read(address)
        assert "\n" not in str(caught.value)
