import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pictures import encoded, write_digits
from riffle.data.images import read, read_judged


def test_the_digits_are_there_without_a_download():
    split = read("digits")
    assert len(split.train) + len(split.validation) == 1797
    assert split.train.classes == tuple("0123456789")
    assert Counter(split.validation.labels.tolist()) == {d: pytest.approx(36, abs=1) for d in range(10)}


def test_a_split_is_stratified_reproducible_and_disjoint(folder_of_digits):
    one, same, other = (read(folder_of_digits, validation=0.25, seed=seed) for seed in (1, 1, 2))
    names = [list(split.validation) for split in (one, same, other)]
    assert names[0] == names[1] != names[2]
    assert not set(names[0]) & set(one.train)
    assert len(set(names[0]) | set(one.train)) == 60
    assert Counter(one.validation.labels.tolist()) == {0: 5, 1: 5, 2: 5}
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_fingerprint_is_of_the_pictures_not_of_the_way_to_them(folder_of_digits, tmp_path, monkeypatch):
    absolute = read(folder_of_digits).fingerprint
    monkeypatch.chdir(folder_of_digits.parent)
    assert read(folder_of_digits.name).fingerprint == absolute
    folder_of_digits.rename(tmp_path / "moved")
    assert read(tmp_path / "moved").fingerprint == absolute
    next((tmp_path / "moved" / "digit 2").iterdir()).rename(tmp_path / "moved" / "digit 2" / "other.png")
    assert read(tmp_path / "moved").fingerprint != absolute


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_a_held_out_folder_is_used_as_it_is(tmp_path, name):
    write_digits(tmp_path / "train", classes=3, each=6)
    write_digits(tmp_path / name, classes=3, each=4)
    split = read(tmp_path)
    assert (len(split.train), len(split.validation)) == (18, 12)
    assert split.validation.classes == split.train.classes == ("digit 0", "digit 1", "digit 2")


def test_words_like_train_in_file_names_mean_nothing(tmp_path):
    for name in ("train", "freight test"):  # classes called like splits
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"val_{index}.png")
    shutil.move(tmp_path / "train", tmp_path / "engine train")
    split = read(tmp_path)
    assert split.train.classes == ("engine train", "freight test")
    assert len(split.train) + len(split.validation) == 8


def test_unreadable_pictures_are_named_skipped_and_counted(folder_of_digits, photo):
    good = folder_of_digits / "digit 1"
    whole = encoded(Image.fromarray(photo), "JPEG")
    (good / "cut.jpg").write_bytes(whole[:5000])
    (good / "text.jpg").write_text("not a picture at all")
    (good / "notes.txt").write_text("not meant as a picture")
    (good / ".hidden.png").write_text("")
    split = read(folder_of_digits)
    assert len(split.train) + len(split.validation) == 60
    assert [line.split(": ")[0].rsplit("/", 1)[1] for line in split.unreadable] == ["cut.jpg", "text.jpg"]
    assert split.ignored == {".txt": 1}


def refused(folder, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_folders_that_cannot_be_learned_from(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, "holds no pictures")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "is no folder and no manifest")
    (tmp_path / "file").unlink()
    write_digits(tmp_path, classes=1, each=4)
    refused(tmp_path, r"one class only \(digit 0\)")
    (tmp_path / "training").mkdir()
    refused(tmp_path, "has training where classes are expected")
    (tmp_path / "training").rmdir()
    (tmp_path / "empty").mkdir()
    write_digits(tmp_path / "x", classes=1, each=2)
    refused(tmp_path, "no pictures that can be read in empty")


def test_a_single_picture_of_a_class_stays_with_the_training(tmp_path):
    write_digits(tmp_path, classes=2, each=5)
    (tmp_path / "rare").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "rare" / "only.png")
    split = read(tmp_path)
    rare = split.train.classes.index("rare")
    assert (split.train.labels == rare).sum() == 1
    assert (split.validation.labels == rare).sum() == 0


def test_pictures_to_judge_follow_the_networks_classes(folder_of_digits):
    classes = ("digit 2", "other", "digit 1", "digit 0")
    pictures, bad = read_judged(folder_of_digits, classes)
    assert (len(pictures), bad) == (60, [])
    assert np.bincount(pictures.labels).tolist() == [20, 0, 20, 20]
    with pytest.raises(ValueError, match="classes that were not learned: digit 2"):
        read_judged(folder_of_digits, ("digit 0", "digit 1"))
