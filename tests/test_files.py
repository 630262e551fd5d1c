import json

import pytest

from riffle.files import remove_drafts, replacing, replacing_folder, replacing_parts, write_csv, write_json, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "one")
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    write_text(path, "two")
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]
    assert path.read_text() == "two"


def test_rows_and_values_are_written_as_they_are_or_not_at_all(tmp_path):
    table, values = tmp_path / "rows.csv", tmp_path / "values.json"
    write_csv(table, [{"name": "a, b", "ms": 1.5}, {"name": "é", "ms": None}])
    assert table.read_bytes().decode("utf-8") == 'name,ms\n"a, b",1.5\né,\n'
    with pytest.raises(ValueError, match="extra"):
        write_csv(table, [{"name": "a"}, {"name": "b", "extra": 1}])
    assert table.read_text(encoding="utf-8").startswith("name,ms\n")
    write_json(values, {"name": "é", "sides": [1, None]})
    assert json.loads(values.read_text(encoding="utf-8")) == {"name": "é", "sides": [1, None]}
    with pytest.raises(TypeError):
        write_json(values, {"name": object()})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "values.json"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "best"
    with replacing_folder(folder) as draft:
        (draft / "old").write_text("1")
    with pytest.raises(RuntimeError), replacing_folder(folder) as draft:
        (draft / "new").write_text("2")
        raise RuntimeError
    assert [entry.name for entry in folder.iterdir()] == ["old"]
    with replacing_folder(folder) as draft:
        (draft / "new").write_text("2")
    assert [entry.name for entry in folder.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["best"]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".best.77.riffle-draft").mkdir()
    (tmp_path / ".best.77.riffle-draft" / "half").write_text("")
    (tmp_path / ".log.78.riffle-draft").write_text("")
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".kept.tmp").write_text("")
    (tmp_path / ".lost.79.riffle-old").mkdir()  # killed between the two renames
    (tmp_path / ".lost.79.riffle-old" / "whole").write_text("")
    remove_drafts(tmp_path)
    (tmp_path / "lost" / "whole").unlink()
    (tmp_path / "lost").rmdir()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".kept.tmp", ".lock"]


def test_parts_of_a_file_come_together_or_not_at_all(tmp_path):
    paths = [tmp_path / "new" / name for name in ("a.xml", "a.bin")]
    with replacing_parts(paths) as drafts:
        assert [draft.name for draft in drafts] == ["a.xml", "a.bin"]
        assert drafts[0].parent == drafts[1].parent != paths[0].parent
        for draft in drafts:
            draft.write_text("first")
    with pytest.raises(RuntimeError), replacing_parts(paths) as drafts:
        for draft in drafts:
            draft.write_text("second")
        raise RuntimeError
    with pytest.raises(FileNotFoundError), replacing_parts(paths) as drafts:
        drafts[0].write_text("third")  # and a part is missing
    assert [path.read_text() for path in paths] == ["first", "first"]
    with replacing_parts(paths) as drafts:
        for draft in drafts:
            draft.write_text("fourth")
    assert [path.read_text() for path in paths] == ["fourth", "fourth"]
    assert sorted(entry.name for entry in paths[0].parent.iterdir()) == ["a.bin", "a.xml"]
