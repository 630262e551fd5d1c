"""From a network to proven files, and what each step on the way changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import nn

from riffle import zoo
from riffle.card import card_of
from riffle.compression import fuse
from riffle.data.images import Pictures
from riffle.data.readable import find_unreadable
from riffle.deployment.runtimes import BEST_FORM, Batch, Form, Precision, Runtime, in_one_line, runtime_of
from riffle.deployment.session import Session, pictures_below
from riffle.deployment.verify import Agreement, verify
from riffle.files import replacing_parts
from riffle.preprocessing import Picture, Preprocessing
from riffle.profiling.cost import profile
from riffle.profiling.latency import Latency, measure, network_call
from riffle.training.calibration import calibration_error
from riffle.training.evaluate import evaluate as evaluate_network
from riffle.training.progress import Reporter
from riffle.training.run import Run
from riffle.training.temperature import calibrate, cross_fitted, fit_temperature
from riffle.verbs.evaluate import scores_of
from riffle.verbs.forms import forms_of, in_form, size_of, tune, write


def export(
    network: nn.Module,
    path: str | Path,
    *,
    data: Pictures | str | Path | Iterable[Picture] | None = None,
    preprocessing: Preprocessing | None = None,
    precision: Precision = "float32",
    batch: Batch | None = None,
) -> Path:
    """Write a file for a runtime and prove it against the network on real pictures; no file is left that fails.

    Args:
        network: what to ship, as it is (``riffle.fuse`` and ``riffle.unshuffle`` it first).
        path: the file to write; its ending names the runtime, as in ``.onnx`` or ``.xml`` (OpenVINO).
        data: pictures to prove it on: a folder, a run's ``validation``, or any pictures; by default two photographs
            that come with scikit-learn.
        preprocessing: how pictures become input; by default what the network's card says.
        precision: of the computation in the file, where the runtime has a choice.
        batch: whether the file takes ``"any"`` number of pictures at once or ``"one"``; by default what the runtime
            does best.

    Returns:
        The path.

    Raises:
        VerificationError: the file gives other answers than the network.
        ValueError: no preprocessing is known, no pictures, or nothing that this runtime does.
    """
    preprocessing = preprocessing or card_of(network).preprocessing
    if preprocessing is None:
        raise ValueError("this network's card tells no preprocessing: give one, riffle.Preprocessing(size=…)")
    runtime = _runtime_for(path, precision, batch)
    with replacing_parts(runtime.parts(Path(path))) as (draft, *_):
        write(runtime, network, preprocessing, draft, precision, batch)
        verify(draft, network, preprocessing, _pictures(data))
    return Path(path)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of an exported file, beside its runtime."""

    precision: Precision = "float32"
    batch: Batch | None = None
    """None for what the runtime does best."""
    form: Form | None = None
    """None for what is known to be fastest in the runtime."""
    tune: bool = False
    """Measure all forms here, and ship the fastest."""
    calibrate: bool = False
    """Divide the scores by the temperature that fits the run's held-out pictures."""

    def __post_init__(self) -> None:
        if self.form not in (None, *get_args(Form)):
            raise ValueError(f"a form is one of {', '.join(get_args(Form))}; got {self.form}")
        if self.tune and self.form is not None:
            raise ValueError(f"tuning chooses the form: give {self.form} or tune, not both")


@dataclass(frozen=True, slots=True)
class Exported:
    """A proven file."""

    path: Path
    runtime: Runtime
    form: Form
    precision: Precision
    agreement: Agreement
    tuned: dict[Form, Latency]
    """What the forms took, where they were measured."""

    @property
    def size(self) -> int:
        """Bytes of all its parts."""
        return size_of(self.path)


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that could not be made, or that gave other answers and was deleted."""

    path: Path
    reason: str


def export_run(
    source: str | Path,
    path: str | Path,
    *,
    data: str | Path | None = None,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
) -> Exported:
    """Fold a run's best network, write it, and prove the file against the network as it was trained.

    With ``settings.calibrate`` it is proven against that network with its scores divided.

    Args:
        source: a run's folder.
        path: the file to write; its ending names the runtime.
        data: pictures to prove it on; by default the run's held-out ones.
        settings: precision, batch, form, and whether to calibrate.
        reporter: shows a bar.

    Raises:
        VerificationError: the file gives other answers than the network.
        ValueError: no run, its pictures are gone and no others are given, nothing that this runtime does, or no
            temperature fits.
    """
    settings = settings or Settings()
    reporter = reporter or Reporter()
    runtime = _runtime_for(path, settings.precision, settings.batch)
    return _prove(runtime, Path(path), _Trained.of(source, data, settings, reporter), settings, reporter)


def export_all(
    source: str | Path,
    paths: Sequence[str | Path],
    *,
    data: str | Path | None = None,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
) -> list[Exported | Refused]:
    """The same for several files; one that fails does not keep the others from being made.

    What can be known beforehand (a runtime that is not installed, a precision that it does not have) is an error
    before anything is written.
    """
    settings = settings or Settings()
    runtimes = [_runtime_for(path, settings.precision, settings.batch) for path in paths]
    reporter = reporter or Reporter()
    trained = _Trained.of(source, data, settings, reporter)
    made: list[Exported | Refused] = []
    for runtime, path in zip(runtimes, map(Path, paths), strict=True):
        reporter.say(f"{runtime.title}: writing {path} and comparing it with the network")
        try:
            made.append(_prove(runtime, path, trained, settings, reporter))
        except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
            made.append(Refused(path, in_one_line(error)))
    return made


@dataclass(frozen=True)
class _Trained:
    """A run's best network, with the pictures to prove files on."""

    network: nn.Module
    preprocessing: Preprocessing
    pictures: Pictures | list[Picture]

    @classmethod
    def of(cls, source: str | Path, data: str | Path | None, settings: Settings, reporter: Reporter) -> "_Trained":
        network = zoo.load(source)
        preprocessing = card_of(network).preprocessing
        if preprocessing is None:
            raise ValueError(f"{source} tells no preprocessing")
        if settings.calibrate:
            network = _calibrated(network, Run.open(source).validation, preprocessing, reporter)
        return cls(network, preprocessing, Run.open(source).validation if data is None else _pictures(data))

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return forms_of(self.network, self.preprocessing)


def _calibrated(network: nn.Module, pictures: Pictures, preprocessing: Preprocessing, reporter: Reporter) -> nn.Module:
    """A copy with the temperature that fits these pictures."""
    scores = evaluate_network(network, pictures, preprocessing, reporter=reporter)
    temperature = fit_temperature(scores)
    if temperature is None:
        wrong = int((scores.predicted != scores.labels).sum())
        raise ValueError(
            f"no temperature fits {len(pictures)} held-out pictures with {wrong} mistakes: leave out calibrating"
        )
    after = cross_fitted(scores)
    told = f"calibration error {calibration_error(scores):.1f} %" + (
        "" if after is None else f", then {calibration_error(after):.1f} % (each fifth judged by the other four's)"
    )
    reporter.say(f"temperature {temperature:.3g}, from {len(pictures)} held-out pictures: {told}")
    return calibrate(network, temperature, torch.zeros(1, 3, preprocessing.size, preprocessing.size))


def _prove(runtime: Runtime, path: Path, trained: _Trained, settings: Settings, reporter: Reporter) -> Exported:
    """Choose the form, write the file, compare it with the network, and put it in its place."""
    network, preprocessing = trained.network, trained.preprocessing
    tuned: dict[Form, Latency] = {}
    if settings.tune:
        tuned = tune(network, runtime, preprocessing, trained.forms, precision=settings.precision, batch=settings.batch)
        form = min(tuned, key=lambda name: tuned[name].median)
    else:
        form = settings.form or (BEST_FORM if BEST_FORM in trained.forms else "plain")
    shaped = in_form(network, form, preprocessing)
    with (
        replacing_parts(runtime.parts(path)) as (draft, *_),
        reporter.bar(f"verifying {path.name}", len(trained.pictures)) as bar,
    ):
        write(runtime, shaped, preprocessing, draft, settings.precision, settings.batch)
        agreement = verify(draft, network, preprocessing, bar.over(trained.pictures))
    return Exported(path, runtime, form, settings.precision, agreement, tuned)


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
    top1 = scores_of(session, run.validation, reporter).top1
    return [*steps, Step("exported", top1, size_of(path), steps[-1].macs, latency["exported"])]


def _pictures(data: Pictures | str | Path | Iterable[Picture] | None) -> Pictures | list[Picture]:
    if data is None:
        from sklearn.datasets import load_sample_images

        return list(load_sample_images().images)
    if isinstance(data, str | Path):
        paths = pictures_below(Path(data))
        return [path for path, why in zip(paths, find_unreadable(paths), strict=True) if why is None]
    return data if isinstance(data, Pictures) else list(data)


def _runtime_for(path: str | Path, precision: Precision, batch: Batch | None) -> Runtime:
    """The runtime that a path names, ready to write, and able to do what is asked."""
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder: give the name of the file to write")
    runtime = runtime_of(path)
    runtime.check(precision=precision, batch=batch)
    runtime.require(to_write=True)
    return runtime
