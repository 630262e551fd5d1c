"""Tables that name pictures, or hold them, are read like the folder that they stand for."""

import json
import re
from pathlib import Path

import datasets
import pytest

from riffle.data.audit import audit
from riffle.data.images import read, read_judged
from riffle.data.loaders import workers_for


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """What ``datasets`` keeps of Parquet files goes where the test's other files go."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def rows_of(folder: Path) -> list[tuple[str, str]]:
    """Path from the folder's parent on, and class, of each picture."""
    return [(str(path.relative_to(folder.parent)), path.parent.name) for path in sorted(folder.rglob("*.png"))]


def delimited(mark):
    def write(path, header, rows):
        path.write_text("\n".join(mark.join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8-sig")

    return write


def json_lines(path, header, rows):
    path.write_text("\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows))


def parquet(path, header, rows):
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()}).to_parquet(path)


WRITERS = {
    "pets.csv": delimited(","),
    "excel.csv": delimited(";"),
    "pets.tsv": delimited("\t"),
    "pets.jsonl": json_lines,
    "pets.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_manifest_stands_for_its_folder(folder_of_digits, name):
    path = folder_of_digits.parent / name
    WRITERS[name](path, ("Path", "id", " Label"), [(file, 7, label) for file, label in rows_of(folder_of_digits)])
    by_name, by_folder = read(path), read(folder_of_digits)
    assert by_name.fingerprint == by_folder.fingerprint
    assert [list(part) for part in (by_name.train, by_name.validation)] == [
        list(part) for part in (by_folder.train, by_folder.validation)
    ]
    assert by_name.train.classes == ("digit 0", "digit 1", "digit 2")
    assert not by_name.unreadable
    assert not by_name.ignored


@pytest.mark.parametrize(("told", "held_out"), [("val", 12), ("validation", 12), ("Test", 12), ("valid", 12)])
def test_a_column_tells_the_parts(folder_of_digits, told, held_out):
    path = folder_of_digits.parent / "pets.csv"
    rows = [(f, label, told if i % 5 == 0 else "train") for i, (f, label) in enumerate(rows_of(folder_of_digits))]
    delimited(",")(path, ("image", "class", "split"), rows)
    split = read(path)
    assert (len(split.validation), len(split.train)) == (held_out, 48)
    judged, bad = read_judged(path, ("digit 2", "digit 1", "other", "digit 0"))
    assert (sorted(judged), bad) == (sorted(split.validation), [])


def test_a_part_that_is_not_used_is_told(folder_of_digits):
    path = folder_of_digits.parent / "pets.csv"
    parts = ["train", "train", "train", "val", "test"]
    rows = [(f, label, parts[i % 5]) for i, (f, label) in enumerate(rows_of(folder_of_digits))]
    delimited(",")(path, ("image", "class", "subset"), rows)
    split = read(path)
    assert (len(split.train), len(split.validation)) == (36, 12)
    assert split.ignored == {"of the part test": 12}


def test_numbers_are_classes_in_their_order_and_names_stay_as_written(tmp_path, folder_of_digits):
    files = [file for file, _ in rows_of(folder_of_digits)]
    for name in ("numbers.csv", "numbers.parquet", "numbers.jsonl"):
        path = folder_of_digits.parent / name
        WRITERS[name.replace("numbers", "pets")](
            path, ("file", "target"), [(f, (2, 10)[i % 2]) for i, f in enumerate(files)]
        )
        assert read(path).train.classes == ("2", "10")
    path = folder_of_digits.parent / "codes.csv"
    delimited(",")(path, ("file", "target"), [(f, ("007", "x")[i % 2]) for i, f in enumerate(files)])
    assert read(path).train.classes == ("007", "x")


def test_missing_and_broken_files_are_named_skipped_and_counted(folder_of_digits):
    rows = rows_of(folder_of_digits)
    (folder_of_digits / "text.png").write_text("words")
    more = [("nowhere.png", "digit 0"), ("pictures/text.png", "digit 1"), ("", "digit 1"), (rows[0][0], "")]
    path = folder_of_digits.parent / "pets.csv"
    delimited(",")(path, ("image", "label"), rows + more)
    split = read(path)
    assert len(split.train) + len(split.validation) == 60
    assert split.unreadable == [
        f"{folder_of_digits.parent}/nowhere.png: No such file or directory",
        f"{folder_of_digits}/text.png: not a picture",
    ]
    assert split.ignored == {"rows without a picture or a label": 2}


def test_paths_may_lead_anywhere_on_this_machine_and_nowhere_else(folder_of_digits):
    (folder_of_digits.parent / "tables").mkdir()
    path = folder_of_digits.parent / "tables" / "pets.csv"
    rows = rows_of(folder_of_digits)
    led = [
        (f"../{file}" if i % 2 else str(folder_of_digits.parent / file), label) for i, (file, label) in enumerate(rows)
    ]
    delimited(",")(path, ("image", "label"), led)
    assert read(path).fingerprint == read(folder_of_digits).fingerprint
    delimited(",")(path, ("image", "label"), [*led, ("https://example.org/a.png", "digit 0")])
    with pytest.raises(ValueError, match=r"names https://example.org/a.png: only files on this machine are read"):
        read(path)


def encoded_rows(folder):
    rows = [((folder.parent / file).read_bytes(), Path(file).name, label) for file, label in rows_of(folder)]
    names = sorted({label for _, _, label in rows})
    return rows, names


def test_parquet_as_datasets_writes_it_holds_the_pictures(folder_of_digits):
    rows, names = encoded_rows(folder_of_digits)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["none", *names[::-1]])}
    )
    columns = {
        "image": [{"bytes": content, "path": name} for content, name, _ in rows],
        "label": [1 + names[::-1].index(label) for *_, label in rows],
    }
    path = folder_of_digits.parent / "pets.parquet"
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
    split = read(path)
    assert split.train.classes == tuple(names[::-1])  # in the table's order, without the class that has no picture
    assert sorted([*split.train, *split.validation]) == sorted(content for content, *_ in rows)
    assert split.train.name(0).startswith(f"{path}/")
    assert workers_for(split.train, 2) == 0  # tiny


def test_a_column_tells_the_parts_of_parquet_that_holds_the_pictures(folder_of_digits):
    rows, _ = encoded_rows(folder_of_digits)
    parts = ["train", "val", "train", "test"]
    table = [(content, label if i % 7 else None, parts[i % 4]) for i, (content, _, label) in enumerate(rows)]
    path = folder_of_digits.parent / "pets.parquet"
    parquet(path, ("image", "label", "split"), table)
    split = read(path)
    for part, name in ((split.train, "train"), (split.validation, "val")):
        expected = [(content, label) for content, label, told in table if told == name and label]
        assert [(picture, part.classes[n]) for picture, n in zip(part, part.labels, strict=True)] == expected
    assert split.ignored["rows without a picture or a label"] == 9
    assert split.ignored["of the part test"] == sum(told == "test" and bool(label) for _, label, told in table)


@pytest.mark.parametrize("names", [True, False])
def test_parquet_of_plain_bytes(folder_of_digits, names):
    rows, _ = encoded_rows(folder_of_digits)
    rows[3] = (b"words", "broken.png", "digit 0")
    contents = [{"bytes": content, "path": name} if names else content for content, name, _ in rows]
    path = folder_of_digits.parent / "pets.parquet"
    parquet(path, ("img", "category"), list(zip(contents, [label for *_, label in rows], strict=True)))
    split = read(path)
    assert len(split.train) + len(split.validation) == 59
    assert split.unreadable == [f"{path}/{'broken.png' if names else 'row 4'}: not a picture"]
    found = audit(path)
    assert found.unreadable == tuple(split.unreadable)
    assert found.counts()[""] == {"digit 0": 19, "digit 1": 20, "digit 2": 20}


def test_what_cannot_be_read_is_one_clear_line(tmp_path):
    for name, content, words in (
        (
            "a.csv",
            "id,animal\n1,cat\n",
            "a.csv has the columns id, animal: call the one with the pictures image or path",
        ),
        (
            "b.csv",
            "image,animal\n1,cat\n",
            "b.csv has the columns image, animal: call the one with their labels label or",
        ),
        ("c.csv", "", "c.csv is empty: its first line names the columns"),
        (
            "d.csv",
            "image,label,split\na.png,cat,holdout\n",
            "split is train, val, valid, validation, test; got 'holdout'",
        ),
        ("e.csv", "image,label\n", "e.csv holds no pictures that can be read"),
        ("f.jsonl", '{"image": "a.png"}\nwords\n', "f.jsonl, line 2: not a JSON object"),
        ("g.csv", "image,label,split\na.png,cat,val\n", "g.csv has val but no train: nothing to learn from"),
        ("h.csv", 'image,label\n"a.png,cat\n', "h.csv: unexpected end of data"),
        ("i.parquet", "words", "i.parquet cannot be read as Parquet"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "latin.csv").write_bytes("image,label\nä.png,cat\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not text in UTF-8"):
        read(tmp_path / "latin.csv")
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "nowhere.csv")
