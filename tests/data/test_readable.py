import json
import os

import pytest
from archives import write_shards

from riffle.data import readable
from riffle.data.images import read


@pytest.fixture
def decoded(monkeypatch, tmp_path):
    """Every picture that is decoded; the cache is empty at first."""
    seen = []
    monkeypatch.setenv("RIFFLE_CACHE", str(tmp_path / "cache"))
    real = readable.open_picture
    monkeypatch.setattr(readable, "open_picture", lambda picture, **how: seen.append(picture) or real(picture, **how))
    return seen


def test_the_same_files_are_decoded_once(folder_of_digits, decoded):
    first = read(folder_of_digits)
    assert len(decoded) == 60
    decoded.clear()
    assert read(folder_of_digits, seed=3).fingerprint != first.fingerprint
    assert decoded == []


def test_shards_are_files_too(folder_of_digits, decoded, tmp_path):
    shards = write_shards(folder_of_digits, str(tmp_path / "shards/{:03d}.tar"), 3)
    for expected in (60, 0):
        decoded.clear()
        assert len(read(shards).train) == 48
        assert len(decoded) == expected
    os.utime(shards / "001.tar", ns=(0, 0))
    read(shards)
    assert len(decoded) == 60


def test_only_what_failed_is_tried_again(folder_of_digits, decoded):
    broken = folder_of_digits / "digit 1" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n none")
    lines = read(folder_of_digits).unreadable
    assert [line.split(":")[0] for line in lines] == [str(broken)]
    decoded.clear()
    assert read(folder_of_digits).unreadable == lines
    assert decoded == [str(broken)]


def test_a_file_that_changes_is_looked_at(folder_of_digits, decoded):
    read(folder_of_digits)
    picture = sorted(folder_of_digits.rglob("*.png"))[7]
    about = picture.stat()
    picture.write_bytes(bytes(about.st_size))  # of the same size, and another time
    os.utime(picture, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert [line.split(":")[0] for line in read(folder_of_digits).unreadable] == [str(picture)]


@pytest.mark.parametrize("damage", ["", "[99]", "[-1]", '{"a": 1}', "null", "[null]"])
def test_a_damaged_note_counts_for_nothing(folder_of_digits, decoded, tmp_path, damage):
    read(folder_of_digits)
    (note,) = (tmp_path / "cache" / "readable").iterdir()
    assert json.loads(note.read_text()) == []
    note.write_text(damage)
    decoded.clear()
    read(folder_of_digits)
    assert len(decoded) == 60
