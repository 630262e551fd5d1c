"""From a scene to networks, one for each seed, with their accuracy, their maps and a report."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from riffle.files import write_json
from riffle.hardware import compute_threads, environment
from riffle.pages.scene import SceneFacts, write_scene_report
from riffle.scenes import baselines, maps, networks, reading
from riffle.scenes.inference import dense
from riffle.scenes.metrics import Accuracy, spread
from riffle.scenes.recipe import PROTOCOLS, SceneRecipe
from riffle.scenes.reduction import Reduction, constant_bands
from riffle.scenes.reduction import fit as fit_reduction
from riffle.scenes.run import RESULTS, Setup, Trained, load_trained, save_trained, seed_folder, write_array
from riffle.scenes.scene import Scene, spectra, strips
from riffle.scenes.splits import Split, block_split, overlap, random_split
from riffle.scenes.training import Task, fit
from riffle.training.progress import Reporter
from riffle.training.run import RunFolder

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
    with RunFolder(folder).locked():
        done = [
            _one(read, replace(setup, recipe=recipe.with_changes(seed=seed)), splits[seed], folder, reporter)
            for seed in splits
        ]
        results = _results(setup, read, done)
        write_json(folder / RESULTS, results)
        first = seed_folder(folder, recipe.seed)
        predicted = np.load(first / "classes.npy")
        confidence = np.load(first / "confidence.npy") if (first / "confidence.npy").exists() else None
        run = SceneRun(folder, setup, results)
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


def _results(setup: Setup, scene: Scene, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over the seeds, what was run, and each seed's own numbers."""
    scores = {name: dict(zip(("mean", "std"), spread([one[name] for one in seeds]), strict=True)) for name in SCORES}
    return {
        "scene": scene.name,
        "model": setup.model,
        "recipe": setup.recipe.to_dict(),
        "classes": list(setup.classes),
        **scores,
        "overlap": spread([one["overlap"] for one in seeds])[0],
        "seeds": seeds,
        "environment": environment(),
    }


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
        predicted, confidence, mapping = predicted_by(trained, scene)
        save_trained(trained, own)
    seconds = time.perf_counter() - began - mapping
    write_array(own / "classes.npy", predicted.astype(np.uint16))
    if confidence is not None:
        write_array(own / "confidence.npy", confidence.astype(np.float16))
    maps.write_png(maps.coloured(predicted, len(scene.classes)), own / "map.png")
    entry = {
        "seed": seed,
        **judged(scene, predicted, split.test, len(scene.classes)),
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


def predicted_by(trained: Trained, scene: Scene) -> tuple[np.ndarray, np.ndarray, float]:
    """Classes from 1 and their probabilities (rows, columns), and the seconds of the pass over the scene."""
    cube = torch.from_numpy(trained.reduction.scene(scene.cube))
    began = time.perf_counter()
    scores = dense(trained.network, window=trained.setup.recipe.window)(cube)
    seconds = time.perf_counter() - began
    best = scores.softmax(0).max(0)
    return best.indices.cpu().numpy() + 1, best.values.cpu().numpy(), seconds


def judged(scene: Scene, predicted: np.ndarray, pixels: np.ndarray, classes: int) -> dict[str, Any]:
    """Accuracy of a map (rows, columns; from 1) on labelled pixels, as plain values."""
    truth = scene.labelled.ravel()[pixels] - 1
    return Accuracy.of(truth, predicted.ravel()[pixels].astype(np.int64) - 1, classes).to_dict()
