"""The verbs as people use them: each joins the parts below into one step, from Python and from the command line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from riffle import zoo
from riffle.card import card_of
from riffle.compression import fuse
from riffle.data import images
from riffle.data.images import Pictures, Split
from riffle.deployment import onnx
from riffle.deployment.network_session import NetworkSession
from riffle.deployment.session import PictureClassifier, Session, pictures_below
from riffle.deployment.verify import Agreement, verify
from riffle.files import replacing
from riffle.hardware import compute_threads, environment
from riffle.pages.report import ReportFacts, write_report
from riffle.preprocessing import Picture, Preprocessing
from riffle.profiling.cost import profile
from riffle.profiling.latency import Latency, measure, network_call
from riffle.training.evaluate import evaluate as evaluate_network
from riffle.training.loop import fit
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter
from riffle.training.recipe import PRESETS, Recipe
from riffle.training.run import Run, RunFolder, Setup
from riffle.training.transfer import head_of, replace_head
from riffle.weights import native


def train(
    data: str | Path,
    *,
    model: str | nn.Module = "shufflenet_v2_x1_0",
    out: str | Path,
    recipe: Recipe | None = None,
    weights: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train a network on a set of pictures, or go on with the run that ``out`` holds.

    Args:
        data: a folder of pictures or ``digits``; see :func:`riffle.data.images.read`.
        model: a registered name, or a network. One with another number of outputs than classes gets a fresh head.
        out: the run's folder.
        recipe: settings; by default those for the data: ``digits``, ``finetune`` with weights, else ``scratch``.
        weights: where a named network starts from; see :func:`riffle.create`.
        reporter: shows progress; the default prints.

    Returns:
        The run: ``run.model`` is the best network, ``run.folder.report`` its report.

    Raises:
        ValueError: about data, names, settings, or a folder with another run; nothing in the folder is lost.
        OSError: the disk is full; what was saved before is kept.
    """
    reporter = reporter or Reporter()
    recipe = recipe or default_recipe(data, has_weights=weights is not None or isinstance(model, nn.Module))
    split = images.read(data, validation=recipe.validation, seed=recipe.seed)
    _say_data(split, reporter)
    torch.manual_seed(recipe.seed)
    network = _network(model, weights, recipe, split, reporter)
    setup = Setup(
        data=str(data) if str(data) in images.BUILT_IN else str(Path(data).resolve()),
        model=card_of(network).name or type(network).__name__,
        weights=None if weights is None else str(weights),
        recipe=recipe,
        fingerprint=split.fingerprint,
        threads=compute_threads(),
    )
    folder = RunFolder(Path(out))
    with folder.locked():
        setup = folder.begin(setup)
        run = fit(network, split, setup, folder, reporter=reporter)
        run.split = split
        if not folder.report.exists():
            _report(run, reporter)
    return run


def evaluate(
    source: str | Path, *, data: str | Path | None = None, reporter: Reporter | None = None
) -> tuple[Scores, Pictures]:
    """Judge a run's best network, or an exported file, on held-out pictures.

    Args:
        source: a run's folder or an ``.onnx`` file.
        data: a folder of pictures in class folders; by default the run's own held-out pictures.
        reporter: shows progress.

    Raises:
        ValueError: nothing to judge, nothing to judge it on, or classes that were not learned.
    """
    reporter = reporter or Reporter()
    if _is_file(source):
        session = Session(source)
        if data is None:
            raise ValueError("an exported file knows no pictures: give a folder with --data")
        pictures, unreadable = _judged(data, session.classes)
        scores = _scores_of(session, pictures, reporter)
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


def classifier(source: str | Path) -> PictureClassifier:
    """What classifies pictures: a run's best network, a saved network, or an exported file.

    Raises:
        ValueError: there is none at ``source``.
    """
    if _is_file(source):
        return Session(source)
    if not Path(source).exists():
        raise ValueError(f"there is nothing at {source}: give a run's folder or an exported file")
    return NetworkSession(zoo.load(source))


def export(
    network: nn.Module,
    path: str | Path,
    *,
    data: Pictures | str | Path | Iterable[Picture] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Write an ONNX file and prove it against the network on real pictures; no file is left that fails.

    Args:
        network: what to ship, as it is (``riffle.fuse`` it first).
        path: the file to write.
        data: pictures to prove it on: a folder, a run's ``validation``, or any pictures; by default two photographs
            that come with scikit-learn.
        preprocessing: how pictures become input; by default what the network's card says.

    Returns:
        The path.

    Raises:
        VerificationError: the file gives other answers than the network.
        ValueError: no preprocessing is known, or no pictures.
    """
    preprocessing = preprocessing or card_of(network).preprocessing
    if preprocessing is None:
        raise ValueError("this network's card tells no preprocessing: give one, riffle.Preprocessing(size=…)")
    _refuse_folder(path)
    with replacing(Path(path)) as draft:
        onnx.export(network, preprocessing, draft)
        verify(draft, network, preprocessing, _pictures(data))
    return Path(path)


def export_run(
    source: str | Path, path: str | Path, *, data: str | Path | None = None, reporter: Reporter | None = None
) -> Agreement:
    """Fold a run's best network, write it, and prove the file against the network as it was trained.

    Args:
        source: a run's folder.
        path: the file to write.
        data: pictures to prove it on; by default the run's held-out ones.
        reporter: shows a bar.

    Raises:
        ValueError: no run, or its pictures are gone and no others are given.
    """
    reporter = reporter or Reporter()
    network = zoo.load(source)
    preprocessing = card_of(network).preprocessing
    if preprocessing is None:
        raise ValueError(f"{source} tells no preprocessing")
    pictures = Run.open(source).validation if data is None else _pictures(data)
    _refuse_folder(path)
    with replacing(Path(path)) as draft, reporter.bar("verifying", len(pictures)) as bar:
        onnx.export(fuse(network), preprocessing, draft)
        return verify(draft, network, preprocessing, bar.over(pictures))


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the ledger from training to file."""

    name: str
    top1: float
    """Percent right of the run's held-out pictures."""
    size: int
    """Bytes of the weights, or of the file."""
    macs: int
    latency: Latency
    """One picture, one thread."""


def ledger(run: Run, path: Path, *, reporter: Reporter | None = None) -> list[Step]:
    """What each step to an exported file changed: the trained network, the folded one, the file; timed in turn."""
    reporter = reporter or Reporter()
    size = run.recipe.size
    networks = {"trained": run.model, "fused": fuse(run.model)}
    session = Session(path, threads=1)
    pixels = np.zeros((1, size, size, 3), np.uint8)
    calls = {name: network_call(network, size=size) for name, network in networks.items()}
    calls["exported"] = lambda: session.probabilities(pixels)
    latency = measure(calls)
    preprocessing = session.preprocessing
    steps = []
    for name, network in networks.items():
        top1 = evaluate_network(network, run.validation, preprocessing, reporter=reporter).top1
        weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        steps.append(Step(name, top1, weights, profile(network, size=size).macs, latency[name]))
    top1 = _scores_of(session, run.validation, reporter).top1
    return [*steps, Step("exported", top1, path.stat().st_size, steps[-1].macs, latency["exported"])]


def default_recipe(data: str | Path, *, has_weights: bool) -> Recipe:
    """The preset that suits: ``digits`` for the digits, ``finetune`` where training starts from weights, else ``scratch``."""
    if str(data) in PRESETS:
        return PRESETS[str(data)]
    return PRESETS["finetune" if has_weights else "scratch"]


def _network(
    model: str | nn.Module, weights: str | Path | None, recipe: Recipe, split: Split, reporter: Reporter
) -> nn.Module:
    classes = split.train.classes
    if isinstance(model, str):
        network = zoo.create(model, weights=weights, size=recipe.size)
    elif weights is not None:
        raise ValueError("weights are for a network given by name; this one has its own")
    else:
        network = model
    if head_of(network).out_features != len(classes):
        if weights is not None or not isinstance(model, str):
            reporter.say(f"fresh classifier: {head_of(network).out_features} classes before, {len(classes)} here")
        network = replace_head(network, len(classes))
    card = card_of(network)
    published = card.preprocessing or Preprocessing()
    preprocessing = replace(published, size=recipe.size, resize=round(recipe.size / recipe.crop_ratio))
    network.card = replace(card, preprocessing=preprocessing, classes=classes)  # type: ignore[assignment]
    return network


def _say_data(split: Split, reporter: Reporter) -> None:
    for line in split.unreadable:
        reporter.say(f"skipped, unreadable: {line}")
    if split.unreadable:
        reporter.say(f"{len(split.unreadable)} unreadable {'file' if len(split.unreadable) == 1 else 'files'} skipped")
    if split.ignored:
        endings = ", ".join(f"{count} {ending}" for ending, count in sorted(split.ignored.items()))
        reporter.say(f"not pictures by their names, ignored: {endings}")
    reporter.say(
        f"{len(split.train)} pictures to learn from, {len(split.validation)} held out, "
        f"{len(split.train.classes)} classes"
    )


def _report(run: Run, reporter: Reporter) -> None:
    card = card_of(run.model)
    assert card.preprocessing is not None
    size = run.recipe.size
    scores = evaluate_network(run.model, run.validation, card.preprocessing, reporter=reporter)
    threads = 1
    latency = measure({"network": network_call(run.model.cpu(), size=size)}, rounds=30, threads=threads)["network"]
    counts = Counter(run.split.train.labels.tolist())
    facts = ReportFacts(
        title=f"{run.setup.model} on {Path(run.setup.data).name}",
        run=run,
        scores=scores,
        pictures=run.validation,
        cost=profile(run.model, size=size),
        latency=latency,
        weights_bytes=(run.folder.best / native.WEIGHTS).stat().st_size,
        train_counts=[counts[label] for label in range(len(run.validation.classes))],
        unreadable=run.split.unreadable,
        environment=environment(),
    )
    write_report(facts, run.folder.report)


def _scores_of(session: PictureClassifier, pictures: Pictures, reporter: Reporter) -> Scores:
    """Score a file as a network is scored."""
    rows = []
    with reporter.bar("judging", len(pictures)) as bar:
        for picture in pictures:
            rows.append(session.probabilities(session.preprocessing.pixels(picture)[None]))
            bar.advance(1)
    return Scores(np.concatenate(rows), pictures.labels, pictures.classes)


def _judged(data: str | Path, classes: tuple[str, ...]) -> tuple[Pictures, list[str]]:
    if str(data) in images.BUILT_IN:
        return images.read(data).validation, []
    return images.read_judged(data, classes)


def _pictures(data: Pictures | str | Path | Iterable[Picture] | None) -> Pictures | list[Picture]:
    if data is None:
        from sklearn.datasets import load_sample_images

        return list(load_sample_images().images)
    if isinstance(data, str | Path):
        paths = pictures_below(Path(data))
        return [path for path, why in zip(paths, images.find_unreadable(paths), strict=True) if why is None]
    return data if isinstance(data, Pictures) else list(data)


def _refuse_folder(path: str | Path) -> None:
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder: give the name of the file to write")


def _is_file(source: str | Path) -> bool:
    return Path(source).suffix == ".onnx"
