"""Judge a run or an exported file on pictures."""

from pathlib import Path

import numpy as np

from riffle import zoo
from riffle.card import card_of
from riffle.data import images, sources
from riffle.data.images import Pictures
from riffle.deployment.runtimes import is_exported
from riffle.deployment.session import PictureClassifier, Session
from riffle.training.evaluate import evaluate as evaluate_network
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter
from riffle.training.run import Run


def evaluate(
    source: str | Path, *, data: str | Path | None = None, reporter: Reporter | None = None
) -> tuple[Scores, Pictures]:
    """Judge a run's best network, or an exported file, on held-out pictures.

    Args:
        source: a run's folder or an exported file.
        data: a folder of pictures in class folders; by default the run's own held-out pictures.
        reporter: shows progress.

    Raises:
        ValueError: nothing to judge, nothing to judge it on, or classes that were not learned.
    """
    reporter = reporter or Reporter()
    if is_exported(source):
        session = Session(source)
        if data is None:
            raise ValueError("an exported file knows no pictures: give a folder with --data")
        pictures, unreadable = _judged(data, session.classes)
        scores = scores_of(session, pictures, reporter)
    else:
        run = Run.open(source) if data is None else None
        network = run.model if run else zoo.load(source)
        card = card_of(network)
        if card.preprocessing is None or card.classes is None:
            raise ValueError(f"{source} tells no preprocessing or classes")
        if run is not None:
            pictures, unreadable = run.validation, []
        else:
            assert data is not None
            pictures, unreadable = _judged(data, card.classes)
        scores = evaluate_network(network, pictures, card.preprocessing, reporter=reporter)
    for line in unreadable:
        reporter.say(f"skipped, unreadable: {line}")
    return scores, pictures


def scores_of(session: PictureClassifier, pictures: Pictures, reporter: Reporter) -> Scores:
    """Score a file as a network is scored."""
    rows = []
    with reporter.bar("judging", len(pictures)) as bar:
        for picture in pictures:
            rows.append(session.probabilities(session.preprocessing.pixels(picture)[None]))
            bar.advance(1)
    return Scores(np.concatenate(rows), pictures.labels, pictures.classes)


def _judged(data: str | Path, classes: tuple[str, ...]) -> tuple[Pictures, list[str]]:
    if str(data) in sources.BUILT_IN:
        return images.read(data).validation, []
    return images.read_judged(data, classes)
