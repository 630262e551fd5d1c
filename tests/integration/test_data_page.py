"""What the page about data shows is run as it stands there."""

import os
import re
import shlex

import datasets
import pytest

from pictures import REPOSITORY, write_digits
from riffle.cli.app import run as run_command

PAGE = (REPOSITORY / "docs/data.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    header = blocks("csv")[0].splitlines()[0]
    rows = [header]
    for part, each in (("train", 12), ("val", 4)):
        paths = sorted(write_digits(tmp_path / "pets" / part, classes=2, each=each).rglob("*.png"))
        rows += [f"{os.path.relpath(path)},{path.parent.name},{part}" for path in paths]
    (tmp_path / "pets.csv").write_text("\n".join(rows))
    (program,) = blocks("python")
    exec(program, {})
    for line in "".join(blocks("sh")).splitlines():
        assert run_command(shlex.split(line.removeprefix("riffle "))) == 0, line
