"""What spoils a training is found in a folder before it starts."""

import shutil

import numpy as np
import pytest
from archives import pack
from PIL import Image

from riffle.cli.app import run
from riffle.data.audit import audit


def photograph(seed):
    """Smooth colours with a few edges, as different from each other as photographs are."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = small.resize((160, 120), Image.Resampling.BICUBIC)
    image.paste(tuple(rng.integers(0, 256, 3)), tuple(int(v) for v in (*rng.integers(0, 60, 2), 90, 80)))
    return image


@pytest.fixture
def planted(tmp_path):
    """Twelve pictures a class and part; ten copied from train to val, five of them re-encoded; three corrupt files."""
    seed = 0
    for part in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
            for index in range(12):
                photograph(seed).save(tmp_path / part / label / f"{index:02d}.png")
                seed += 1
    for index in range(10):
        source = tmp_path / "train" / "cat" / f"{index:02d}.png"
        target = tmp_path / "val" / "cat" / f"leak{index}.{'png' if index < 5 else 'jpg'}"
        if index < 5:
            shutil.copy(source, target)
        else:
            Image.open(source).resize((120, 90)).save(target, quality=60 + 5 * index)
    whole = (tmp_path / "train/dog/00.png").read_bytes()
    (tmp_path / "train/dog/broken.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train/cat/empty.jpg").write_bytes(b"")
    (tmp_path / "val/dog/text.jpeg").write_text("no picture")
    (tmp_path / "val/dog/notes.txt").write_text("no picture")
    return tmp_path


def test_a_planted_leak_and_corrupt_files_are_all_found(planted):
    found = audit(planted)
    leaks = {pair.second.path: pair.is_exact for pair in found.leaks}
    assert leaks == {f"val/cat/leak{i}.{'png' if i < 5 else 'jpg'}": i < 5 for i in range(10)}
    assert len(found.pairs) == 10
    assert len(found.unreadable) == 3
    assert all(str(planted) in line for line in found.unreadable)
    assert found.ignored == {".txt": 1}
    assert found.counts() == {"train": {"cat": 12, "dog": 12}, "val": {"cat": 22, "dog": 12}}
    assert found.problems()[0].startswith("10 pictures are on both sides")


def test_what_a_person_reads(planted, tmp_path, capsys):
    page = tmp_path / "audit.html"
    assert run(["audit", str(planted), "--html", str(page)]) == 0
    assert run(["audit", str(planted), "--strict"]) == 1
    told = capsys.readouterr().out
    assert "equal: LEAK train/cat/00.png and val/cat/leak0.png" in told
    assert "alike: LEAK train/cat/05.png and val/cat/leak5.jpg" in told
    assert "unreadable: " in told
    assert page.read_text().count("data:image/") == 20
    assert "leak9.jpg" in page.read_text()


def as_manifest(folder):
    rows = [path.relative_to(folder) for path in sorted(folder.rglob("*.*")) if path.suffix != ".txt"]
    lines = [f"{path},{path.parts[1]},{path.parts[0]}" for path in rows]
    (folder / "pets.csv").write_text("\n".join(["image,label,split", *lines]))
    return folder / "pets.csv"


def as_shards(folder):
    for part in ("train", "val"):
        members = []
        for index, path in enumerate(sorted((folder / part).rglob("*.*"))):
            if path.suffix != ".txt":
                members += [(f"{index}{path.suffix}", path.read_bytes()), (f"{index}.cls", path.parent.name.encode())]
        pack(folder / "shards" / f"{part}-0.tar", members)
    return folder / "shards"


@pytest.mark.parametrize("write", [as_manifest, as_shards])
def test_the_same_is_found_in_manifests_and_shards(planted, write, tmp_path, capsys):
    source = write(planted)
    found = audit(str(source))
    assert len(found.leaks) == len(found.pairs) == 10
    assert sum(pair.is_exact for pair in found.leaks) == 5
    assert len(found.unreadable) == 3
    assert found.counts() == {"train": {"cat": 12, "dog": 12}, "val": {"cat": 22, "dog": 12}}
    assert run(["audit", str(source), "--html", str(tmp_path / "audit.html")]) == 0
    assert "LEAK " in capsys.readouterr().out
    assert (tmp_path / "audit.html").read_text().count("data:image/") == 20


def test_one_picture_in_two_classes_and_skewed_classes(tmp_path):
    for label, count in (("cat", 20), ("dog", 1)):
        (tmp_path / label).mkdir()
        for index in range(count):
            photograph(index + 100 * count).save(tmp_path / label / f"{index}.png")
    shutil.copy(tmp_path / "cat/3.png", tmp_path / "dog/3.png")
    found = audit(tmp_path)
    (pair,) = found.conflicts
    assert not pair.is_leak
    assert found.balance() == 10
    assert len(found.problems()) == 2
    assert found.shorter_sides() == {"smallest": 120, "median": 120, "largest": 120}


def test_a_clean_folder(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for index in range(20):
            photograph(index + 1000 * len(label) + 50 * (label == "dog")).save(tmp_path / label / f"{index}.png")
    assert audit(tmp_path).problems() == []


def test_flat_pictures_are_told_apart_by_their_colours(tmp_path):
    (tmp_path / "flat").mkdir()
    for index, colour in enumerate(("red", "blue", "white", "black")):
        Image.new("RGB", (50, 50), colour).save(tmp_path / "flat" / f"{index}.png")
    assert audit(tmp_path).pairs == ()


def test_no_folder_and_no_pictures(tmp_path, capsys):
    assert run(["audit", str(tmp_path / "nothing")]) == 1
    assert run(["audit", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 2
