"""How far test pixels and training windows of a scene overlap, before anything is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riffle.scenes import reading
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.splits import overlap
from riffle.verbs.scene import split_of


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
