"""What one does with a run on a scene: judge it again, map scenes with it, write it to a file."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from riffle.scenes import maps, onnx, reading
from riffle.scenes.run import RESULTS, Setup, load_trained
from riffle.scenes.splits import overlap
from riffle.scenes.streaming import Mapped, write_map
from riffle.training.progress import Reporter
from riffle.verbs.scene import judged, predicted_by


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
    if (most := int(read.labelled.max())) > len(setup.classes):
        raise ValueError(f"the ground truth has classes up to {most}; this run knows {len(setup.classes)}")
    found = []
    for seed in _seeds(folder):
        trained = load_trained(folder, seed=seed)
        predicted, _, seconds = predicted_by(trained, read)
        pixels = trained.split.test if is_own else np.flatnonzero(read.labelled.ravel())
        entry = judged(read, predicted, pixels, len(setup.classes))
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
    trained = load_trained(run, seed=seed)
    setup = trained.setup
    side = 2 * setup.recipe.window
    example = reading.read(setup.scene).cube[:side, :side]
    return onnx.export(trained, Path(path), example)


def _seeds(folder: Path) -> list[int]:
    """Of a run, those that are finished."""
    found = sorted(int(path.parent.name.removeprefix("seed-")) for path in folder.glob(f"seed-*/{RESULTS}"))
    if not found:
        raise ValueError(f"{folder} has no finished training")
    return found
