"""``riffle runs`` and ``riffle compare``."""

import shutil

import numpy as np
import pytest

import riffle
from pictures import write_digits
from riffle.cli.app import run
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter
from riffle.verbs.compare import Compared, compare, runs_below


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    pets = write_digits(folder / "pets", classes=2, each=12)
    for name, epochs in (("short", 1), ("long", 2)):
        recipe = riffle.Recipe(size=32, epochs=epochs, batch_size=8)
        out = folder / "runs" / name
        riffle.train(pets, model="shufflenet_v2_x0_25", recipe=recipe, out=out, reporter=Reporter(quiet=True))
    return folder


def test_runs_are_listed_with_what_they_reached(two_runs, capsys, monkeypatch):
    monkeypatch.chdir(two_runs)
    assert run(["runs"]) == 0
    told = capsys.readouterr().out
    assert "runs/long" in told
    assert "shufflenet_v2_x0_25" in told
    found = {listed.folder.name: listed for listed in runs_below("runs")}
    assert (found["short"].epochs, found["long"].epochs) == (1, 2)
    assert all(listed.finished for listed in found.values())


def test_no_run_is_one_line(tmp_path, capsys):
    assert run(["runs", str(tmp_path)]) == 1
    assert run(["runs", str(tmp_path / "nothing")]) == 1
    assert run(["compare", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 3


def test_runs_are_judged_on_the_same_pictures(two_runs, capsys, monkeypatch):
    monkeypatch.chdir(two_runs)
    assert run(["compare", "runs/long", "runs/short"]) == 0
    told = capsys.readouterr().out
    assert "runs/short: epochs 1, not 2" in told
    assert "McNemar's test" in told
    first, second = compare(["runs/long", "runs/long"], reporter=Reporter(quiet=True))
    assert (second.only_first, second.only_this, second.chance) == (0, 0, 1.0)
    assert first.scores.top1 == second.scores.top1


def test_other_pictures_held_out_are_refused(two_runs, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(two_runs / "runs/short", other)
    recipe = (other / "recipe.toml").read_text()
    (other / "recipe.toml").write_text(recipe.replace("seed = 0", "seed = 1"))
    assert run(["compare", str(two_runs / "runs/short"), str(other)]) == 1
    assert "hold out different pictures" in capsys.readouterr().err


def test_chance_is_mcnemars():
    """Of ten pictures that only one of two judges right, one for the first and nine for the second: 22 of 1,024."""
    scores = Scores(np.ones((1, 2), np.float32), np.zeros(1, np.int64), ("a", "b"))
    assert Compared("", scores, [], 1, 9).chance == pytest.approx(22 / 1024)
    assert Compared("", scores, [], 5, 5).chance == 1
