"""A scene from file to run, judgement and map, in Python and on the command line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from generated import field_scene
from PIL import Image

from riffle.cli.app import run as run_command
from riffle.scenes import inference, streaming
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.run import load_trained
from riffle.scenes.windows import Windows
from riffle.training.progress import Reporter
from riffle.verbs import scene as verbs
from riffle.verbs.scene import train_scene
from riffle.verbs.scene_runs import evaluate_scene, map_scene

RECIPE = SceneRecipe(window=7, components=8, epochs=16, batch_size=32, block=8, lr=3e-3)
FLAGS = {"--window": 7, "--components": 8, "--epochs": 8, "--batch-size": 32, "--block": 8, "--lr": 3e-3}


def flags(**changes: object) -> list[object]:
    """The recipe on the command line, with changes: ``batch_size=2`` is ``--batch-size 2``."""
    given = {
        **FLAGS,
        "--model": "separable",
        **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
    }
    return [word for flag in given.items() for word in flag]


def said(capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run_command([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


def write(folder: Path, cube=None, truth=None) -> tuple[Path, Path]:
    scene = field_scene()
    np.save(folder / "fields.npy", scene.cube if cube is None else cube)
    np.save(folder / "truth.npy", scene.truth if truth is None else truth)
    return folder / "fields.npy", folder / "truth.npy"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two seeds; do not write into its folder."""
    folder = tmp_path_factory.mktemp("scene")
    cube, truth = write(folder)
    quiet = Reporter(quiet=True)
    return train_scene(cube, truth, out=folder / "run", model="separable", recipe=RECIPE, seeds=2, reporter=quiet)


def test_a_run_learns_and_tells_all_about_it(finished):
    results = json.loads((finished.folder / "results.json").read_text(encoding="utf-8"))
    assert results == finished.results
    seeds = results["seeds"]
    assert [seed["seed"] for seed in seeds] == [0, 1]
    assert results["oa"]["mean"] == pytest.approx(sum(seed["oa"] for seed in seeds) / 2)
    assert results["oa"]["mean"] > 80
    assert results["overlap"] == 0
    for seed in seeds:
        assert sum(map(sum, seed["confusion"])) == seed["test_pixels"] > 100
        assert seed["params"] > 1000
    page = finished.report.read_text(encoding="utf-8")
    assert page.count("data:image/png") == 6
    assert all(words in page for words in ("False colour", "Ground truth", "Errors", "Confidence", "class 3"))
    assert "https:" not in page


def test_a_run_loads_again_and_its_map_is_window_by_windows(finished):
    trained = finished.trained(1)
    scene = field_scene()
    cube = torch.from_numpy(trained.reduction.scene(scene.cube))
    with torch.no_grad():
        scores = trained.network(Windows(cube, 7).cut(np.arange(40 * 36)))
    predicted = np.load(finished.folder / "seed-1" / "classes.npy")
    assert np.array_equal(scores.argmax(1).numpy() + 1, predicted.ravel())
    right = (predicted == scene.truth).ravel()[trained.split.test].mean()
    assert 100 * right == pytest.approx(finished.results["seeds"][1]["oa"])


def test_evaluation_gives_the_trainings_numbers(finished, capsys, tmp_path):
    for judged, seed in zip(evaluate_scene(finished.folder), finished.results["seeds"], strict=True):
        assert {name: judged[name] for name in ("oa", "aa", "kappa", "overlap", "confusion")} == {
            name: seed[name] for name in ("oa", "aa", "kappa", "overlap", "confusion")
        }
    status, out, _ = said(capsys, "scene", "evaluate", finished.folder, "--json", tmp_path / "judged.json")
    assert status == 0
    assert re.search(r"class 2 +\d+\.\d\d +\d+\.\d\d", out)
    assert len(json.loads((tmp_path / "judged.json").read_text())) == 2
    other = evaluate_scene(finished.folder, *write(tmp_path))  # all labelled pixels of a scene
    assert sum(map(sum, other[0]["confusion"])) == (field_scene().truth > 0).sum()
    assert "overlap" not in other[0]


def test_another_scene_with_more_classes_is_refused(finished, tmp_path):
    cube, truth = write(tmp_path, truth=np.where(field_scene().truth == 2, 4, field_scene().truth))
    with pytest.raises(ValueError, match="classes up to 4; this run knows 3"):
        evaluate_scene(finished.folder, cube, truth)


def test_a_streamed_map_is_the_map(finished, tmp_path, monkeypatch):
    scene, _ = write(tmp_path)
    monkeypatch.setattr(inference, "HEAD_BYTES", 2**16)
    quiet = Reporter(quiet=True)
    mapped = map_scene(finished.folder, scene, out=tmp_path / "map", memory=3 * 10**5, reporter=quiet)
    network = inference.dense(finished.trained().network, window=7, memory=3 * 10**5)
    assert len(list(network.tiles(40, 36, bands=8))) > 3
    assert np.array_equal(mapped.classes, np.load(finished.folder / "seed-0" / "classes.npy"))
    confidence = np.load(finished.folder / "seed-0" / "confidence.npy").astype(np.float32)
    assert np.abs(mapped.confidence - confidence).max() < 2e-3
    with Image.open(tmp_path / "map" / "map.png") as picture:
        assert picture.size == (36, 40)
    assert {path.name for path in (tmp_path / "map").iterdir()} == {
        *("classes.npy", "confidence.npy", "map.png", "confidence.png")
    }


def test_georeferencing_is_kept(finished, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.from_origin(500_000, 4_480_000, 20, 20)
    place = {"crs": "EPSG:32616", "transform": transform}
    cube = np.moveaxis(field_scene().cube, -1, 0)
    shape = {"count": 20, "height": 40, "width": 36, "dtype": "float32"}
    with rasterio.open(tmp_path / "fields.tif", "w", driver="GTiff", **shape, **place) as file:
        file.write(cube)
    map_scene(finished.folder, tmp_path / "fields.tif", out=tmp_path, memory=10**9, reporter=Reporter(quiet=True))
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.crs.to_epsg(), file.transform) == (32616, transform)
        assert np.array_equal(file.read(1), np.load(finished.folder / "seed-0" / "classes.npy"))


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    scene, truth = write(tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("wheat\nmaize\nrape\n", encoding="utf-8")
    command = ("scene", "train", scene, truth, "--out", tmp_path / "run", "--classes", names)
    status, out, errors = said(capsys, *command, *flags())
    assert (status, errors) == (0, "")
    assert re.search(r"OA \d+\.\d\d  AA .*\(blocks split; 0\.0 % of the test pixels in a training window\)", out)
    monkeypatch.setattr(verbs, "_fitted", None)  # a finished run is shown again without training
    assert said(capsys, *command, *flags())[0] == 0
    assert load_trained(tmp_path / "run").setup.classes == ("wheat", "maize", "rape")
    status, _, errors = said(capsys, *command, *flags(lr=0.5))
    assert (status, errors.count("\n")) == (1, 1)
    assert "holds another run (lr 0.003, not 0.5)" in errors
    status, out, _ = said(capsys, "scene", "map", tmp_path / "run", scene, "--memory", "300MB")
    assert (status, (tmp_path / "run" / "map" / "map.png").exists()) == (0, True)
    status, out, _ = said(capsys, "scene", "export", tmp_path / "run")
    assert (status, (tmp_path / "run" / "scene.onnx").exists()) == (0, True)
    assert "verified: probabilities within" in out
    status, out, _ = said(capsys, "scene", "leakage", scene, truth, "--window", 5, "--train-share", 0.2)
    assert re.search(r"random +5 +0\.2 .* 9\d\.\d ", out)
    assert re.search(r"blocks +5 +0\.2 .* 0\.0 ", out)


@pytest.mark.parametrize("model", ["svm", "random_forest"])
def test_baselines_see_single_pixels(model, tmp_path):
    scene, truth = write(tmp_path)
    run = train_scene(scene, truth, out=tmp_path / "run", model=model, recipe=RECIPE, reporter=Reporter(quiet=True))
    assert run.results["oa"]["mean"] > 90
    with pytest.raises(ValueError, match="no finished network"):
        run.trained()
    assert run.report.read_text(encoding="utf-8").count("data:image/png") == 5


def test_the_papers_protocol_says_what_it_does(tmp_path):
    scene, truth = write(tmp_path)
    recipe = verbs.PROTOCOLS["paper"].with_changes(window=7, components=8, epochs=2)
    run = train_scene(
        scene, truth, out=tmp_path / "run", model="separable", recipe=recipe, reporter=Reporter(quiet=True)
    )
    assert run.results["overlap"] > 99
    assert run.results["seeds"][0]["validation_pixels"] == 0
    page = run.report.read_text(encoding="utf-8")
    assert "the accuracy flatters" in page
    assert "fitted on the whole scene, test pixels too" in page


CUBE, TRUTH = field_scene().cube, field_scene().truth
HOLED = np.where(np.arange(20) == 3, np.nan, CUBE)
RARE = TRUTH.copy()
RARE[3, 3] = 4

# cube, ground truth, more flags, words
BAD = [
    (CUBE[:-1], TRUTH, {}, "both must have the same rows and columns"),
    (CUBE.swapaxes(0, 1), TRUTH, {}, "rows and columns are swapped"),
    (HOLED, TRUTH, {}, "the scene has NaN or infinite numbers in"),
    (CUBE, TRUTH, {"components": 21}, "21 components of 20 bands: at most as many components as bands"),
    (CUBE * 0 + 7, TRUTH, {}, "8 components, but the training pixels vary in 0 directions only"),
    (CUBE, RARE, {"split": "random"}, "class 4 has 1 pixels: too few for 1 to learn from and some to test"),
    (CUBE, TRUTH, {"window": 41}, "a window of 41 pixels is larger than the scene (40 x 36)"),
    (CUBE, TRUTH, {"window": 8}, "its side is odd; got 8"),
    (CUBE, TRUTH, {"model": "hybridsm"}, "no network called 'hybridsm': did you mean hybridsn?"),
    (CUBE, TRUTH, {"model": "hybridsn"}, "hybridsn needs at least 9 pixels in a window; got 7"),
    (CUBE, TRUTH, {"protocol": "papers"}, "no protocol called 'papers'"),
    (CUBE, TRUTH, {"seeds": 0}, "at least one seed"),
    (CUBE, TRUTH, {"train_share": 1.5}, "train_share must be between 0.0001 and 0.99; got 1.5"),
]


@pytest.mark.parametrize(("cube", "truth", "changes", "words"), BAD, ids=[words[:40] for *_, words in BAD])
def test_bad_input_is_one_clear_line(cube, truth, changes, words, tmp_path, capsys):
    scene, labels = write(tmp_path, cube, truth)
    status, _, errors = said(capsys, "scene", "train", scene, labels, "--out", tmp_path / "run", *flags(**changes))
    assert status == 1
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors


def test_bad_runs_and_scenes(finished, tmp_path, capsys):
    scene, _ = write(tmp_path, CUBE[:, :, :12])
    small = tmp_path / "small.npy"
    np.save(small, CUBE[:6])
    broken = tmp_path / "broken"
    shutil.copytree(finished.folder, broken)
    weights = broken / "seed-0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for run, one, more, words in (
        (finished.folder, scene, [], "trained on 20 bands; the scene has 12"),
        (finished.folder, small, [], "looks at windows of 7 pixels; the scene is 6 x 36"),
        (finished.folder, small, ["--memory", "much"], "as in 500MB; got 'much'"),
        (finished.folder, small, ["--seed", 5], "no finished network at seed-5"),
        (broken, scene, [], "model.safetensors is damaged"),
        (tmp_path, scene, [], "is no run of a scene"),
    ):
        status, _, errors = said(capsys, "scene", "map", run, one, "--out", tmp_path / "map", *more)
        assert (status, errors.count("\n")) == (1, 1)
        assert words in errors


def test_a_map_that_breaks_off_leaves_the_older_one(finished, tmp_path, monkeypatch):
    scene, _ = write(tmp_path)
    quiet = Reporter(quiet=True)
    map_scene(finished.folder, scene, out=tmp_path / "map", memory=10**9, reporter=quiet)
    before = (tmp_path / "map" / "classes.npy").read_bytes()

    def failing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streaming, "_with_border", failing)
    with pytest.raises(OSError, match="No space"):
        map_scene(finished.folder, scene, out=tmp_path / "map", memory=10**9, reporter=quiet)
    assert (tmp_path / "map" / "classes.npy").read_bytes() == before
    assert not list((tmp_path / "map").glob(".*"))
