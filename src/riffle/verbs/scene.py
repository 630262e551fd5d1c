"""From a scene to networks, one for each seed, with their accuracy, their maps and a report."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from riffle.hardware import compute_threads, environment
from riffle.pages.scene import SceneFacts, write_scene_report
from riffle.scenes import baselines, maps, networks, reading
from riffle.scenes.inference import dense
from riffle.scenes.metrics import Accuracy, spread
from riffle.scenes.recipe import PROTOCOLS, SceneRecipe
from riffle.scenes.reduction import Reduction, constant_bands
from riffle.scenes.reduction import fit as fit_reduction
from riffle.scenes.run import RESULTS, Setup, Trained, load_trained, save_trained, seed_folder, write_array, write_json
from riffle.scenes.scene import Scene, spectra, strips
from riffle.scenes.splits import Split, block_split, overlap, random_split
from riffle.scenes.streaming import Mapped, write_map
from riffle.scenes.training import Task, fit
from riffle.training.progress import Reporter

SCORES = ("oa", "aa", "kappa")


@dataclass(frozen=True)
class SceneRun:
    """A finished run."""

    folder: Path
    setup: Setup
    results: dict[str, Any]
    """As ``results.json`` has it: mean and spread over the seeds, and each seed's own."""

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.folder / "report.html"

    def trained(self, seed: int | None = None) -> Trained:
        """The network of one seed, the first when left out; raises ``ValueError`` for a baseline, which keeps none."""
        return load_trained(self.folder, seed=seed)


def train_scene(
    scene: str | Path,
    truth: str | Path | None = None,
    *,
    out: str | Path,
    model: str = "hybridsn",
    recipe: SceneRecipe | None = None,
    seeds: int = 1,
    classes: Sequence[str] | None = None,
    reporter: Reporter | None = None,
) -> SceneRun:
    """Train on a scene with one seed or several, and judge each on its test pixels; goes on where it was interrupted.

    Args:
        scene: a file or ``indian-pines``; see :func:`riffle.scenes.read`.
        truth: its ground truth.
        out: the run's folder.
        model: a network of :data:`riffle.scenes.networks.NETWORKS`, ``svm``, ``random_forest``, or an image network.
        recipe: settings; its seed is the first.
        seeds: how many seeds; each draws its own split.
        classes: names of the classes.
        reporter: shows progress; the default prints.

    Raises:
        ValueError: about files, names, settings, or a folder with another run.
        OSError: the disk is full; what was saved before is kept.
    """
    reporter, recipe, folder = reporter or Reporter(), recipe or PROTOCOLS["honest"], Path(out)
    if seeds < 1:
        raise ValueError(f"at least one seed is needed; got {seeds}")
    read = reading.read(scene, truth, classes=classes)
    _check(read, recipe, model)
    source = str(scene) if str(scene) == reading.BUILT_IN else str(Path(scene).resolve())
    where = None if truth is None else str(Path(truth).resolve())
    setup = Setup(source, where, model, read.classes, recipe)
    _say_scene(read, reporter)
    splits = {seed: split_of(read, recipe, seed) for seed in range(recipe.seed, recipe.seed + seeds)}
    setup.claim(folder)
    torch.set_num_threads(compute_threads())
    done = [
        _one(read, replace(setup, recipe=recipe.with_changes(seed=seed)), splits[seed], folder, reporter)
        for seed in splits
    ]
    results = {
        "scene": read.name,
        "model": model,
        "recipe": recipe.to_dict(),
        "classes": list(read.classes),
        **{name: dict(zip(("mean", "std"), spread([one[name] for one in done]), strict=True)) for name in SCORES},
        "overlap": spread([one["overlap"] for one in done])[0],
        "seeds": done,
        "environment": environment(),
    }
    write_json(folder / RESULTS, results)
    run = SceneRun(folder, setup, results)
    first = seed_folder(folder, recipe.seed)
    predicted = np.load(first / "classes.npy")
    confidence = np.load(first / "confidence.npy") if (first / "confidence.npy").exists() else None
    write_scene_report(SceneFacts(read, splits[recipe.seed], results, predicted, confidence), run.report)
    return run


def split_of(scene: Scene, recipe: SceneRecipe, seed: int) -> Split:
    """The split that a recipe makes of a scene; raises ``ValueError`` where its classes have too few pixels."""
    truth = scene.labelled
    if recipe.split == "random":
        return random_split(truth, recipe.share, validation=recipe.validation, seed=seed)
    return block_split(
        truth,
        recipe.share,
        block=recipe.block or recipe.window,
        reach=recipe.reach,
        validation=recipe.validation,
        seed=seed,
    )


def evaluate_scene(
    run: str | Path, scene: str | Path | None = None, truth: str | Path | None = None
) -> list[dict[str, Any]]:
    """Judge each seed of a run again, from its saved network: on its test pixels, or on all of another scene.

    Raises:
        ValueError: no run, its files are damaged, or the scene does not fit.
    """
    folder = Path(run)
    setup = Setup.read(folder)
    is_own = scene is None
    read = (
        reading.read(setup.scene, setup.truth, classes=setup.classes if setup.truth else None)
        if scene is None
        else (reading.read(scene, truth))
    )
    found = []
    for seed in _seeds(folder):
        trained = load_trained(folder, seed=seed)
        predicted, _, seconds = _predicted(trained, read)
        pixels = trained.split.test if is_own else np.flatnonzero(read.labelled.ravel())
        entry = _judged(read, predicted, pixels, len(setup.classes))
        share = {"overlap": overlap(trained.split, read.size, setup.recipe.window)} if is_own else {}
        found.append({"seed": seed, **entry, **share, "mapping_seconds": round(seconds, 2)})
    return found


def map_scene(
    run: str | Path,
    scene: str | Path,
    *,
    out: str | Path,
    memory: int,
    seed: int | None = None,
    reporter: Reporter | None = None,
) -> Mapped:
    """Classify every pixel of a scene, within a memory bound; writes NumPy files, a PNG, and GeoTIFF where it applies.

    Raises:
        ValueError: no run, or the scene does not fit to it.
        OSError: the disk is full.
    """
    reporter, folder = reporter or Reporter(), Path(out)
    trained = load_trained(run, seed=seed)
    read = reading.read(scene)
    rows, columns = read.size
    began = time.perf_counter()
    with reporter.bar("mapping", rows * columns) as bar:
        mapped = write_map(trained, read, folder, memory=memory, progress=bar.advance)
    seconds = time.perf_counter() - began
    maps.write_png(maps.coloured(mapped.classes, len(trained.setup.classes)), folder / "map.png")
    maps.write_png(maps.grey(mapped.confidence), folder / "confidence.png")
    reporter.say(f"{rows} x {columns} pixels in {seconds:.1f} s: {rows * columns / seconds:,.0f} pixels/s")
    return mapped


def export_scene(run: str | Path, path: str | Path, *, seed: int | None = None) -> float:
    """Write a run's network as ONNX, proven on the scene it was trained on; returns the largest difference.

    Raises:
        ValueError: no run, or a network that is no row of convolutions.
        OSError: the disk is full.
    """
    from riffle.scenes import onnx

    trained = load_trained(run, seed=seed)
    setup = trained.setup
    side = 2 * setup.recipe.window
    example = reading.read(setup.scene).cube[:side, :side]
    return onnx.export(trained, Path(path), example)


def leakage(
    scene: str | Path, truth: str | Path | None, *, shares: Sequence[float], windows: Sequence[int], seed: int = 0
) -> list[dict[str, Any]]:
    """Percent of test pixels inside a training window, for random and for block splits: rows of a table.

    Raises:
        ValueError: about files, or classes that are too small to split.
    """
    read = reading.read(scene, truth)
    rows = []
    for window in windows:
        for share in shares:
            for kind in ("random", "blocks"):
                recipe = SceneRecipe(window=window, train_share=share, split=kind, seed=seed)
                split = split_of(read, recipe, seed)
                rows.append(
                    {
                        "split": kind,
                        "window": window,
                        "share": share,
                        "train": len(split.seen),
                        "test": len(split.test),
                        "left_out": [read.classes[label - 1] for label in split.left_out],
                        "overlap": overlap(split, read.size, window),
                    }
                )
    return rows


def _check(scene: Scene, recipe: SceneRecipe, model: str) -> None:
    if recipe.window > min(scene.size):
        rows, columns = scene.size
        raise ValueError(f"a window of {recipe.window} pixels is larger than the scene ({rows} x {columns})")
    if recipe.reduction == "pca" and recipe.components > scene.bands:
        raise ValueError(f"{recipe.components} components of {scene.bands} bands: at most as many components as bands")
    if model not in baselines.BASELINES:  # before anything is computed
        with torch.device("meta"):
            networks.build(model, bands=_components(scene, recipe), classes=len(scene.classes), window=recipe.window)


def _components(scene: Scene, recipe: SceneRecipe) -> int:
    return scene.bands if recipe.reduction == "standardize" else recipe.components


def _say_scene(scene: Scene, reporter: Reporter) -> None:
    rows, columns = scene.size
    labelled = int((scene.labelled > 0).sum())
    reporter.say(
        f"{scene.name}: {rows} x {columns} pixels, {scene.bands} bands; {labelled:,} labelled pixels, "
        f"{len(scene.classes)} classes"
    )


def _one(scene: Scene, setup: Setup, split: Split, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """One seed, from split to accuracy; a finished one is read back."""
    seed, own = setup.recipe.seed, seed_folder(folder, setup.recipe.seed)
    if (own / RESULTS).exists():
        found: dict[str, Any] = json.loads((own / RESULTS).read_text(encoding="utf-8"))
        return found
    covered = overlap(split, scene.size, setup.recipe.window)
    names = ", ".join(scene.classes[label - 1] for label in split.left_out)
    reporter.say(
        f"seed {seed}: {setup.recipe.split} split, {len(split.train)} pixels to learn from, {len(split.validation)} "
        f"for validation, {len(split.test)} to test; {covered:.1f} % of these lie inside a training window"
        + (f"; left out, too small for both sides: {names}" if names else "")
    )
    own.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    if setup.model in baselines.BASELINES:
        predicted, confidence, mapping = baselines.predict(setup.model, scene, split, seed=seed), None, 0.0
        history: list[dict[str, Any]] = []
        params = None
    else:
        trained, history = _fitted(scene, setup, split, own, reporter)
        params = sum(parameter.numel() for parameter in trained.network.parameters())
        predicted, confidence, mapping = _predicted(trained, scene)
        save_trained(trained, own)
    seconds = time.perf_counter() - began - mapping
    write_array(own / "classes.npy", predicted.astype(np.uint16))
    if confidence is not None:
        write_array(own / "confidence.npy", confidence.astype(np.float16))
    maps.write_png(maps.coloured(predicted, len(scene.classes)), own / "map.png")
    entry = {
        "seed": seed,
        **_judged(scene, predicted, split.test, len(scene.classes)),
        "overlap": covered,
        "train_pixels": len(split.train),
        "validation_pixels": len(split.validation),
        "test_pixels": len(split.test),
        "left_out": [scene.classes[label - 1] for label in split.left_out],
        "params": params,
        "training_seconds": round(seconds, 1),
        "mapping_seconds": round(mapping, 2),
        "history": history,
    }
    write_json(own / RESULTS, entry)
    reporter.say(
        f"seed {seed}: OA {entry['oa']:.2f}  AA {entry['aa']:.2f} (of {entry['classes_judged']} classes)  "
        f"kappa {entry['kappa']:.2f}  overlap {covered:.1f} %  training {seconds:.0f} s  map {mapping:.1f} s"
    )
    return entry


def _fitted(
    scene: Scene, setup: Setup, split: Split, folder: Path, reporter: Reporter
) -> tuple[Trained, list[dict[str, Any]]]:
    recipe = setup.recipe
    reduction = _reduction(scene, split, recipe, reporter)
    torch.manual_seed(recipe.seed)
    network = networks.build(setup.model, bands=reduction.components, classes=len(scene.classes), window=recipe.window)
    cube = torch.from_numpy(reduction.scene(scene.cube))
    task = Task(cube, scene.labelled.ravel() - 1, split)
    state = fit(network, task, recipe, folder / "last" / "checkpoint.safetensors", reporter=reporter)
    return Trained(setup, network, reduction, split), state.history


def _reduction(scene: Scene, split: Split, recipe: SceneRecipe, reporter: Reporter) -> Reduction:
    learned = spectra(scene.cube, split.seen)
    if constant := constant_bands([learned]):
        listed = ", ".join(str(band + 1) for band in constant[:10])
        reporter.say(f"{len(constant)} constant bands carry nothing: {listed}{', …' if len(constant) > 10 else ''}")
    parts = [learned] if recipe.fit_on == "train" else (strip for _, strip in strips(scene.cube))
    return fit_reduction(parts, recipe.reduction, recipe.components)


def _predicted(trained: Trained, scene: Scene) -> tuple[np.ndarray, np.ndarray, float]:
    """Classes from 1 and their probabilities (rows, columns), and the seconds of the pass over the scene."""
    cube = torch.from_numpy(trained.reduction.scene(scene.cube))
    began = time.perf_counter()
    scores = dense(trained.network, window=trained.setup.recipe.window)(cube)
    seconds = time.perf_counter() - began
    best = scores.softmax(0).max(0)
    return best.indices.cpu().numpy() + 1, best.values.cpu().numpy(), seconds


def _judged(scene: Scene, predicted: np.ndarray, pixels: np.ndarray, classes: int) -> dict[str, Any]:
    truth = scene.labelled.ravel()[pixels] - 1
    return Accuracy.of(truth, predicted.ravel()[pixels].astype(np.int64) - 1, classes).to_dict()


def _seeds(folder: Path) -> list[int]:
    """Of a run, those that are finished."""
    found = sorted(int(path.parent.name.removeprefix("seed-")) for path in folder.glob(f"seed-*/{RESULTS}"))
    if not found:
        raise ValueError(f"{folder} has no finished training")
    return found
