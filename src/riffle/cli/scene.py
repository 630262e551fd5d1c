"""``riffle scene``."""

import re
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from riffle.cli.settings import changes, flags
from riffle.scenes.recipe import SceneRecipe

Settings: Any = flags(SceneRecipe)

scene = App(name="scene", help="Hyperspectral scenes: train, judge and map without leaks between training and test.")


@scene.command
def train(
    scene: str,
    truth: Path | None = None,
    /,
    *,
    out: Path | None = None,
    model: str = "hybridsn",
    protocol: str = "honest",
    seeds: int = 1,
    classes: Path | None = None,
    settings: Annotated[Settings | None, Parameter(name="*", group="Settings")] = None,
) -> None:
    """Train a network on a scene and judge it; the same command goes on where a run stopped.

    Parameters
    ----------
    scene
        A .npy, .mat, ENVI .hdr or GeoTIFF file (rows, columns, bands); or the built-in scene indian-pines.
    truth
        Ground truth of the same kinds: 0 is unlabelled, the first class is 1.
    out
        The run's folder; runs/NAME of the scene when left out.
    model
        hybridsn, hybridsn_residual, hybridsn_se, hybridsn_cbam, separable, cnn_2d, cnn_3d, svm, random_forest, or an
        image network as `riffle models` lists them.
    protocol
        honest (blocks with a guard band) or paper (random pixels, as HybridSN was published); flags change settings.
    seeds
        How many trainings, each with its own split and start; their spread is told.
    classes
        Text file with a class name on each line.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.scenes.recipe import PROTOCOLS
    from riffle.verbs.scene import SCORES, train_scene

    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol called {protocol!r}: one of {', '.join(PROTOCOLS)}")
    recipe = PROTOCOLS[protocol].with_changes(**changes(settings))
    folder = out or Path("runs") / Path(scene).stem
    names = classes.read_text(encoding="utf-8").split("\n") if classes else None
    show = reporter()
    run = train_scene(
        scene,
        truth,
        out=folder,
        model=model,
        recipe=recipe,
        seeds=seeds,
        classes=[name.strip() for name in names if name.strip()] if names else None,
        reporter=show,
    )
    told = "  ".join(f"{name.upper()} {_told(run.results[name], seeds)}" for name in SCORES)
    show.say(f"{told}  ({recipe.split} split; {run.results['overlap']:.1f} % of the test pixels in a training window)")
    next_steps(
        show,
        ("the report", str(run.report)),
        ("judge it again, class by class", f"riffle scene evaluate {folder}"),
        ("map a scene", f"riffle scene map {folder} SCENE"),
    )


@scene.command
def evaluate(run: Path, scene: str | None = None, truth: Path | None = None, /, *, json: Path | None = None) -> None:
    """Judge a run again, class by class: on its test pixels, or on another scene.

    Parameters
    ----------
    run
        Folder of a run.
    scene
        Another scene with the same bands; the run's own test pixels when left out.
    truth
        Its ground truth.
    json
        File for the numbers, with the confusion matrices.
    """
    from riffle.cli.output import print_whole, reporter, table
    from riffle.files import write_json
    from riffle.scenes.metrics import spread
    from riffle.scenes.run import Setup
    from riffle.verbs.scene import SCORES
    from riffle.verbs.scene_runs import evaluate_scene

    show = reporter()
    found = evaluate_scene(run, scene, truth)
    listing = table("class", *(f"seed {entry['seed']}" for entry in found))
    for index, name in enumerate(Setup.read(run).classes):
        values = [entry["per_class"][index] for entry in found]
        listing.add_row(name, *("" if value is None else f"{value:.2f}" for value in values))
    for name in (*SCORES, "overlap"):
        if name in found[0]:
            listing.add_row(
                name.upper() if name != "overlap" else "overlap %", *(f"{entry[name]:.2f}" for entry in found)
            )
    print_whole(show, listing)
    if len(found) > 1:
        means = [spread([entry[name] for entry in found]) for name in SCORES]
        show.say("  ".join(f"{n.upper()} {m:.2f} ± {s:.2f}" for n, (m, s) in zip(SCORES, means, strict=True)))
    if json is not None:
        write_json(json, found)


@scene.command(name="map")
def map_(run: Path, scene: str, /, *, out: Path | None = None, memory: str = "500MB", seed: int | None = None) -> None:
    """Classify every pixel of a scene in one pass, within a memory bound.

    Parameters
    ----------
    run
        Folder of a run.
    scene
        A file, or indian-pines.
    out
        Folder for the map: PNG, NumPy files, and GeoTIFF for a georeferenced scene; RUN/map when left out.
    memory
        What the pass may take, as in 500MB or 2GB.
    seed
        Whose network to use, of several; the first when left out.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.verbs.scene_runs import map_scene

    show = reporter()
    folder = out or run / "map"
    map_scene(run, scene, out=folder, memory=_bytes(memory), seed=seed, reporter=show)
    next_steps(show, ("the map", str(folder / "map.png")), ("its numbers", str(folder / "classes.npy")))


@scene.command
def export(run: Path, /, *, out: Path | None = None, seed: int | None = None) -> None:
    """Write a run's network as an ONNX file for scenes of any size, proven to give the same answers.

    Parameters
    ----------
    run
        Folder of a run.
    out
        The file; RUN/scene.onnx when left out.
    seed
        Whose network, of several; the first when left out.
    """
    from riffle.cli.output import reporter
    from riffle.verbs.scene_runs import export_scene

    path = out or run / "scene.onnx"
    difference = export_scene(run, path, seed=seed)
    show = reporter()
    show.say(f"verified: probabilities within {difference:.1g} of the network's, at two sizes")
    show.say(f"{path}: cube (1, bands, rows, columns), float32, to probabilities (1, classes, rows, columns)")


@scene.command
def leakage(
    scene: str,
    truth: Path | None = None,
    /,
    *,
    window: list[int] | None = None,
    train_share: list[float] | None = None,
    seed: int = 0,
) -> None:
    """Tell what part of the test pixels lies inside training windows, for random and block splits; trains nothing.

    Parameters
    ----------
    scene
        A file, or indian-pines.
    truth
        Ground truth.
    window
        Sides of windows; 5, 13 and 25 when left out.
    train_share
        Parts of each class to learn from; 0.01, 0.05, 0.1 and 0.3 when left out.
    seed
        Of the splits.
    """
    from riffle.cli.output import print_whole, reporter, table
    from riffle.verbs.leakage import leakage as leaking

    show = reporter()
    rows = leaking(scene, truth, shares=train_share or [0.01, 0.05, 0.1, 0.3], windows=window or [5, 13, 25], seed=seed)
    listing = table("split", "window", "share", "train", "test", "inside a training window %", "classes left out")
    for row in rows:
        listing.add_row(
            row["split"],
            str(row["window"]),
            f"{row['share']:g}",
            str(row["train"]),
            str(row["test"]),
            f"{row['overlap']:.1f}",
            str(len(row["left_out"])),
        )
    print_whole(show, listing)


def _told(score: dict[str, float], seeds: int) -> str:
    return f"{score['mean']:.2f}" + (f" ± {score['std']:.2f}" if seeds > 1 else "")


def _bytes(words: str) -> int:
    """``500MB`` as a number; raises ``ValueError`` for what is no size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", words.strip(), flags=re.IGNORECASE)
    if found is None:
        raise ValueError(f"a size is a number with kB, MB or GB, as in 500MB; got {words!r}")
    return int(float(found[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[found[2].upper()])
