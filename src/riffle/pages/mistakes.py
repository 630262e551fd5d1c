"""The mistakes of which a network was surest, as pictures with the heat of Grad-CAM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from riffle.data.images import Pictures
from riffle.pages.heat import heat_over
from riffle.pages.pictures import THUMBNAIL, shrunk
from riffle.preprocessing import Preprocessing, UnreadablePicture, open_picture
from riffle.training.grad_cam import Heat
from riffle.training.metrics import Scores

MOST_MISTAKES = 24
SMALL = 64
"""Longer side in pixels of the picture with the true class's heat."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture with heat over it, in ``data:`` addresses."""

    thumbnail: str
    heat: str | None
    """None where nothing speaks for the class, or nothing is known."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture that was judged wrong."""

    taken: Layer | None
    """With the heat of the class it was taken for; None for a picture that can no longer be read."""
    true: Layer | None
    """A smaller one with the heat of the true class; None where the network has no heat to show."""
    truth: str
    predicted: str
    probability: float
    """Of the predicted class, in percent."""
    name: str


def worst_mistakes(
    scores: Scores,
    pictures: Pictures,
    heats: Mapping[int, Sequence[Heat]],
    preprocessing: Preprocessing | None,
    *,
    data: str,
) -> list[Mistake]:
    """The surest mistakes.

    Args:
        scores: of the pictures, in their order.
        pictures: the held-out ones.
        heats: of a picture's index, those of the predicted and of the true class.
        preprocessing: tells which part of a picture the heat is of.
        data: where the pictures are; their names are told from there on.
    """
    return [
        Mistake(
            *_layers(pictures, index, heats.get(index, ()), preprocessing),
            truth=scores.classes[scores.labels[index]],
            predicted=scores.classes[scores.predicted[index]],
            probability=100 * float(scores.probabilities[index].max()),
            name=_name_below(data, pictures.name(index)),
        )
        for index in scores.mistakes(MOST_MISTAKES)
    ]


def _layers(
    pictures: Pictures, index: int, heats: Sequence[Heat], preprocessing: Preprocessing | None
) -> tuple[Layer | None, Layer | None]:
    try:
        image = open_picture(pictures[index], at_least=THUMBNAIL)
    except (UnreadablePicture, OSError):
        return None, None
    if not heats or preprocessing is None:
        return Layer(shrunk(image), None), None
    box = preprocessing.box(*image.size)
    taken, true = (heat_over(heat, image.size, box) for heat in heats)
    return Layer(shrunk(image), taken), Layer(shrunk(image, side=SMALL), true)


def _name_below(data: str, name: str) -> str:
    """A picture's name from the data's folder on, or from that of a manifest or of shards: it tells two apart."""
    path = PurePath(name)
    for folder in (PurePath(data), PurePath(data).parent):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return name
