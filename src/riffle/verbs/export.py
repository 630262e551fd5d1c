"""From a network to a proven file, and what each step on the way changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from riffle import zoo
from riffle.card import card_of
from riffle.compression import fuse
from riffle.data import images
from riffle.data.images import Pictures
from riffle.deployment import onnx
from riffle.deployment.session import Session, pictures_below
from riffle.deployment.verify import Agreement, verify
from riffle.files import replacing
from riffle.preprocessing import Picture, Preprocessing
from riffle.profiling.cost import profile
from riffle.profiling.latency import Latency, measure, network_call
from riffle.training.evaluate import evaluate as evaluate_network
from riffle.training.progress import Reporter
from riffle.training.run import Run
from riffle.verbs.evaluate import scores_of


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
    _check_target(path)
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
    _check_target(path)
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
    top1 = scores_of(session, run.validation, reporter).top1
    return [*steps, Step("exported", top1, path.stat().st_size, steps[-1].macs, latency["exported"])]


def _pictures(data: Pictures | str | Path | Iterable[Picture] | None) -> Pictures | list[Picture]:
    if data is None:
        from sklearn.datasets import load_sample_images

        return list(load_sample_images().images)
    if isinstance(data, str | Path):
        paths = pictures_below(Path(data))
        return [path for path, why in zip(paths, images.find_unreadable(paths), strict=True) if why is None]
    return data if isinstance(data, Pictures) else list(data)


def _check_target(path: str | Path) -> None:
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder: give the name of the file to write")
    if Path(path).suffix != ".onnx":
        raise ValueError(f"an ONNX file's name ends in .onnx; got {path}")
