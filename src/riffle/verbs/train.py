"""From pictures to a run with a report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from riffle import zoo
from riffle.card import card_of
from riffle.data import images, sources
from riffle.data.images import Split
from riffle.hardware import compute_threads, environment
from riffle.pages.mistakes import MOST_MISTAKES
from riffle.pages.report import ReportFacts, write_report
from riffle.preprocessing import Preprocessing
from riffle.profiling.latency import measure, network_call
from riffle.training.evaluate import evaluate as evaluate_network
from riffle.training.find_rate import find_learning_rate
from riffle.training.grad_cam import heats_of
from riffle.training.loop import Extras, fit
from riffle.training.processes import processes
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe, recipe_named
from riffle.training.run import Run, RunFolder, Setup
from riffle.training.transfer import freeze, head_of, replace_head
from riffle.weights import native

MOST_NAMED = 20
"""Unreadable files that are named on the screen; the report names all."""

__all__ = ["Run", "default_recipe", "train"]


def train(
    data: str | Path,
    *,
    model: str | nn.Module = "shufflenet_v2_x1_0",
    out: str | Path,
    recipe: Recipe | None = None,
    weights: str | Path | None = None,
    teacher: str | Path | nn.Module | None = None,
    find_lr: bool = False,
    track: Sequence[str] = (),
    timing: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Train a network on a set of pictures, or go on with the run that ``out`` holds.

    Started by ``torchrun`` or ``accelerate launch``, several processes share every step: the same recipe is the same
    training with any number of them, but for the order of sums and the batch norms' view of a batch.

    Args:
        data: a folder of pictures or ``digits``; see :func:`riffle.data.images.read`.
        model: a registered name, or a network, which is copied. Another number of outputs than classes gets a fresh
            head.
        out: the run's folder.
        recipe: settings; by default those for the data: ``digits``, ``finetune`` with weights, else ``scratch``.
        weights: where a named network starts from; see :func:`riffle.create`.
        teacher: a trained network for the same classes, or a run's folder: its probabilities are learned too.
        find_lr: look for the learning rate first, instead of taking the recipe's.
        track: trackers by the names that ``accelerate`` knows; each needs its own package.
        timing: tell after every epoch where its time went.
        reporter: shows progress; the default prints.

    Returns:
        The run: ``run.model`` is the best network, ``run.folder.report`` its report.

    Raises:
        ValueError: about data, names, settings, or a folder with another run; nothing in the folder is lost.
        OSError: the disk is full; what was saved before is kept.
    """
    is_first = processes().is_main_process
    reporter = reporter if reporter and is_first else Reporter(quiet=not is_first)
    recipe = recipe or default_recipe(data, has_weights=weights is not None or isinstance(model, nn.Module))
    split = images.read(data, validation=recipe.validation, seed=recipe.seed)
    _say_data(split, reporter)
    torch.manual_seed(recipe.seed)
    network = _network(model, weights, recipe, split, reporter)
    guide = zoo.load(teacher) if isinstance(teacher, str | Path) else teacher
    folder = RunFolder(Path(out))
    freeze(network, recipe.transfer)  # refuses what cannot be frozen before the folder is claimed
    if find_lr:
        recipe = recipe.with_changes(lr=_learning_rate(folder, network, split, recipe, reporter))
    setup = Setup(
        data=sources.whereabouts(data),
        model=card_of(network).name or type(network).__name__,
        weights=None if weights is None else str(weights),
        recipe=recipe,
        fingerprint=split.fingerprint,
        threads=compute_threads(),
        from_python=isinstance(model, nn.Module),
        teacher=None if teacher is None else type(teacher).__name__ if guide is teacher else str(teacher),
    )
    with _claimed(folder, setup) as agreed:
        untouched = deepcopy(network)  # accelerate puts its own forward into what it trains
        extras = Extras(teacher=guide, track=tuple(track), timing=timing)
        run = fit(network, split, agreed, folder, reporter=reporter, extras=extras)
        run.split = split
        run.model = native.load_folder(folder.best, network=untouched)
        has_report = folder.report.exists()
        processes().wait_for_everyone()  # all have looked before the first one writes it
        if not has_report:
            _report(run, reporter)
    return run


@contextmanager
def _claimed(folder: RunFolder, setup: Setup) -> Iterator[Setup]:
    """The folder for this set-up, locked; the first of several processes claims it for all."""
    together = processes()
    if together.is_main_process:
        setup = folder.begin(setup)
        with folder.locked():
            together.wait_for_everyone()
            yield setup
    else:
        together.wait_for_everyone()
        yield Setup.read(folder.path)


def _learning_rate(folder: RunFolder, network: nn.Module, split: Split, recipe: Recipe, reporter: Reporter) -> float:
    """Found on these pictures, or the one that was found when the run began."""
    if folder.checkpoint.exists():
        return Setup.read(folder.path).recipe.lr
    found = find_learning_rate(network, split, recipe, reporter=reporter)
    reporter.say(f"learning rate {found:.2g}: where the loss falls fastest")
    return found


def default_recipe(data: str | Path, *, has_weights: bool, transfer: str | None = None) -> Recipe:
    """What suits: ``head`` for a head alone, ``digits`` for these, ``finetune`` with weights, else ``scratch``."""
    if transfer == "head":
        return recipe_named("head")
    if str(data) in sources.BUILT_IN:
        return recipe_named(str(data))
    return recipe_named("finetune" if has_weights else "scratch")


def _network(
    model: str | nn.Module, weights: str | Path | None, recipe: Recipe, split: Split, reporter: Reporter
) -> nn.Module:
    classes = split.train.classes
    if isinstance(model, str):
        network = zoo.create(model, weights=weights, size=recipe.size)
    elif weights is not None:
        raise ValueError("weights are for a network given by name; this one has its own")
    else:
        network = deepcopy(model)
    if head_of(network).out_features != len(classes):
        if weights is not None or not isinstance(model, str):
            reporter.say(f"fresh classifier: {head_of(network).out_features} classes before, {len(classes)} here")
        network = replace_head(network, len(classes))
    card = card_of(network)
    published = card.preprocessing or Preprocessing()
    preprocessing = replace(published, size=recipe.size, resize=round(recipe.size / recipe.crop_ratio))
    network.card = replace(card, preprocessing=preprocessing, classes=classes, temperature=1.0)  # type: ignore[assignment]
    return network


def _say_data(split: Split, reporter: Reporter) -> None:
    for line in split.unreadable[:MOST_NAMED]:
        reporter.say(f"skipped, unreadable: {line}")
    if len(split.unreadable) > MOST_NAMED:
        reporter.say("… the report names the others")
    if split.unreadable:
        reporter.say(f"{len(split.unreadable)} unreadable {'file' if len(split.unreadable) == 1 else 'files'} skipped")
    if split.ignored:
        reporter.say("ignored: " + ", ".join(f"{count} {what}" for what, count in sorted(split.ignored.items())))
    reporter.say(
        f"{len(split.train)} pictures to learn from, {len(split.validation)} held out, "
        f"{len(split.train.classes)} classes"
    )


def _report(run: Run, reporter: Reporter) -> None:
    card = card_of(run.model)
    assert card.preprocessing is not None
    size = run.recipe.size
    scores = evaluate_network(run.model, run.validation, card.preprocessing, reporter=reporter)
    if not processes().is_main_process:
        return
    threads = 1
    latency = measure({"network": network_call(run.model.cpu(), size=size)}, rounds=30, threads=threads)["network"]
    asked = {index: (scores.predicted[index], scores.labels[index]) for index in scores.mistakes(MOST_MISTAKES)}
    counts = Counter(run.split.train.labels.tolist())
    facts = ReportFacts(
        title=f"{run.setup.model} on {Path(run.setup.data).name}",
        run=run,
        scores=scores,
        pictures=run.validation,
        params=sum(parameter.numel() for parameter in run.model.parameters()),
        cost=native.read_config(run.folder.best).get("cost", {}),
        latency=latency,
        weights_bytes=(run.folder.best / native.WEIGHTS).stat().st_size,
        train_counts=[counts[label] for label in range(len(run.validation.classes))],
        unreadable=run.split.unreadable,
        environment=environment(),
        heats=heats_of(run.model, run.validation, asked, card.preprocessing),
    )
    write_report(facts, run.folder.report)
