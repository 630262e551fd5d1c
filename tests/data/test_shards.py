"""Tar archives are read from their places: in any order, by any worker, and nothing is unpacked."""

from pathlib import Path

import pytest
import torch
from archives import flat, pack, samples, write_shards

from pictures import encoded, write_digits
from riffle.data.audit import audit
from riffle.data.images import read, read_judged
from riffle.data.loaders import EpochBatches, training_loader
from riffle.data.sources import title
from riffle.preprocessing import Preprocessing


@pytest.mark.parametrize(
    ("words", "label"),
    [("p-{000..002}.tar", "cls"), ("p-00?.tar", "json"), ("p-{000,001,002}.tar", "cls"), ("", "json")],
)
def test_shards_stand_for_their_folder(folder_of_digits, tmp_path, words, label):
    folder = write_shards(folder_of_digits, str(tmp_path / "shards/p-{:03d}.tar"), 3, label)
    split, plain = read(f"{folder}/{words}"), read(folder_of_digits)
    assert split.train.classes == plain.train.classes
    assert (len(split.train), len(split.validation)) == (48, 12)
    contents = [Path(path).read_bytes() for path in [*plain.train, *plain.validation]]
    assert sorted([*split.train, *split.validation]) == sorted(contents)
    assert split.train.name(0) == f"{folder}/p-000.tar/0000.png"
    assert title(f"{folder}/{words}") == "shards"
    assert {path.name for path in tmp_path.rglob("*")} >= {"p-000.tar"}
    assert not list(tmp_path.rglob("0000.*"))[1:]  # one is the folder's; nothing was unpacked


@pytest.mark.parametrize(
    "pattern", ["shards/{part}/{{:03d}}.tar", "shards/{part}-{{:03d}}.tar", "shards/pets-{part}-{{:03d}}-of-2.tar"]
)
def test_folders_and_names_tell_the_parts(tmp_path, pattern):
    for part, each in (("train", 10), ("val", 4)):
        write_digits(tmp_path / part, classes=3, each=each)
        write_shards(tmp_path / part, str(tmp_path / pattern.format(part=part)), 2)
    split = read(tmp_path / "shards")
    assert (len(split.train), len(split.validation)) == (30, 12)
    judged, _ = read_judged(tmp_path / "shards", ("digit 2", "digit 1", "digit 0"))
    assert sorted(judged) == sorted(split.validation)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
def test_worker_processes_change_nothing(folder_of_digits, tmp_path):
    folder = write_shards(folder_of_digits, str(tmp_path / "shards/{:03d}.tar"), 3)
    pictures = read(folder).train

    def pixels(workers: int) -> list[torch.Tensor]:
        batches = EpochBatches(len(pictures), 8, seed=5)
        how = Preprocessing(size=24)
        return [x for x, _ in training_loader(pictures, how, batches, least_area=0.5, flip=True, workers=workers)]

    alone = pixels(0)
    for workers in (1, 2):
        assert all(torch.equal(a, b) for a, b in zip(alone, pixels(workers), strict=True))


def test_what_is_no_picture_or_has_no_label_is_counted(folder_of_digits, tmp_path):
    members = flat(samples(folder_of_digits))
    image = members[0][1]
    odd = [
        ("../../outside.png", image),
        ("../../outside.cls", b"digit 0"),
        ("alone.png", image),
        ("0000.txt", b"a caption"),
        ("broken.png", image[:100]),
        ("broken.cls", b"digit 1"),
        (".hidden.png", image),
        ("part/a.b/0001.png", image),
        ("part/a.b/0001.json", b'{"label": "digit 2"}'),
    ]
    path = pack(tmp_path / "in/a/pets.tar", members + odd)
    split = read(path)
    assert len(split.train) + len(split.validation) == 62
    assert [line.rsplit(": ")[0] for line in split.unreadable] == [f"{path}/broken.png"]
    assert split.ignored == {".txt": 1, "pictures without .cls or .json": 1}
    assert not list(tmp_path.rglob("outside*"))
    found = audit(path)
    assert len(found.entries) == 62
    assert next(pair.first.path for pair in found.pairs if pair.is_exact) == "pets.tar/0000.png"


def test_archives_that_cannot_be_read_are_one_line(folder_of_digits, tmp_path):
    whole = pack(tmp_path / "whole.tar", flat(samples(folder_of_digits)))
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:9000])
    (tmp_path / "text.tar").write_text("words " * 500)
    pack(tmp_path / "pets.tar.gz", [])
    pack(tmp_path / "odd.tar", [("a.png", b""), ("a.json", b"words")])
    pack(tmp_path / "none.tar", [("a.png", b"")])
    pack(tmp_path / "mixed/train-0.tar", flat(samples(folder_of_digits)))
    pack(tmp_path / "mixed/more-0.tar", flat(samples(folder_of_digits)))
    for name, words in (
        ("cut.tar", r"cut.tar is damaged or no tar archive: unexpected end of data"),
        ("text.tar", r"text.tar is damaged or no tar archive"),
        ("pets.tar.gz", r"pets.tar.gz is compressed, .*: unpack it to a .tar"),
        ("odd.tar", r"odd.tar/a.json is no label"),
        ("none.tar", r"holds no pictures that can be read: expected KEY.jpg beside KEY.cls or KEY.json"),
        ("nowhere.tar", r"nowhere.tar does not exist"),
        ("whole-{0..2}.tar", r"whole-0.tar does not exist"),
        ("mixed", r"more-0.tar tells no part and others do"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_pictures_that_share_a_key_share_its_label(tmp_path, photo):
    from PIL import Image

    members = []
    for index in range(8):
        image = encoded(Image.fromarray(photo).resize((20 + index, 20)), "JPEG")
        members += [(f"{index}.jpg", image), (f"{index}.cls", str(index % 2).encode()), (f"{index}.png", image)]
    split = read(pack(tmp_path / "pairs.tar", members))
    assert split.train.classes == ("0", "1")
    assert len(split.train) + len(split.validation) == 16
