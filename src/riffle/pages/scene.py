"""The report of a training on a scene: its pictures beside its numbers, in one HTML file that loads nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffle.pages.confusion import confusion_rows
from riffle.pages.page import write_page
from riffle.pages.pictures import address_of
from riffle.scenes import maps
from riffle.scenes.metrics import spread
from riffle.scenes.scene import Scene
from riffle.scenes.splits import Split


@dataclass(frozen=True)
class SceneFacts:
    """What a report tells about a finished run; pictures and pixels are those of its first seed."""

    scene: Scene
    split: Split
    results: dict[str, Any]
    """As ``results.json`` has it."""
    predicted: npt.NDArray[Any]
    """(rows, columns), from 1."""
    confidence: npt.NDArray[Any] | None
    """(rows, columns), from 0 to 1; None for a baseline that gives none."""


def write_scene_report(facts: SceneFacts, path: Path) -> None:
    """Write the report; an older one stays complete until the new one is.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    results = facts.results
    counts = np.sum([seed["confusion"] for seed in results["seeds"]], axis=0)
    contents = {
        "results": results,
        "title": f"{results['model']} on {facts.scene.name}",
        "size": facts.scene.size,
        "bands": facts.scene.bands,
        "first": results["seeds"][0],
        "pictures": _pictures(facts),
        "classes": _classes(facts),
        "matrix": confusion_rows(counts, results["classes"]),
        "recipe": sorted(results["recipe"].items()),
    }
    write_page(path, "scene.html.j2", contents)


def _pictures(facts: SceneFacts) -> list[tuple[str, str]]:
    """Captions and pictures."""
    scene, truth = facts.scene, facts.scene.labelled
    classes = len(scene.classes)
    made = [
        ("False colour", maps.false_colour(scene)),
        ("Ground truth", maps.coloured(truth, classes)),
        ("What was learned from (white, validation blue) and tested on (orange)", _sides(facts)),
        ("Map", maps.coloured(facts.predicted, classes)),
        ("Errors: red is wrong, green is right; training pixels count too", maps.errors(truth, facts.predicted)),
    ]
    if facts.confidence is not None:
        made.append(("Confidence: white is sure", maps.grey(facts.confidence)))
    return [(caption, address_of(Image.fromarray(picture))) for caption, picture in made]


def _sides(facts: SceneFacts) -> maps.Picture:
    rows, columns = facts.scene.size
    picture = np.zeros((rows * columns, 3), dtype=np.uint8)
    picture[facts.scene.labelled.ravel() > 0] = 60
    for pixels, colour in (
        (facts.split.test, (230, 140, 30)),
        (facts.split.validation, (90, 150, 255)),
        (facts.split.train, (255, 255, 255)),
    ):
        picture[pixels] = colour
    step = maps.stride((rows, columns))
    return picture.reshape(rows, columns, 3)[::step, ::step]


def _classes(facts: SceneFacts) -> list[dict[str, Any]]:
    """A row for each class: its colour, its pixels, its accuracy over the seeds."""
    flat = facts.scene.labelled.ravel()
    colours = maps.palette(len(facts.scene.classes))
    rows = []
    for index, name in enumerate(facts.scene.classes):
        values = [seed["per_class"][index] for seed in facts.results["seeds"]]
        judged = [value for value in values if value is not None]
        rows.append(
            {
                "name": name,
                "colour": "#{:02x}{:02x}{:02x}".format(*colours[index + 1]),
                "labelled": int((flat == index + 1).sum()),
                "train": int((flat[facts.split.seen] == index + 1).sum()),
                "test": int((flat[facts.split.test] == index + 1).sum()),
                "accuracy": spread(judged) if judged else None,
            }
        )
    return rows
