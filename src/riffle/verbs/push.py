"""Publish a network on the Hugging Face Hub."""

import re
from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from riffle import zoo
from riffle.card import Card, card_of
from riffle.profiling.cost import profile
from riffle.training.run import Run
from riffle.weights import hub, native
from riffle.weights.record import COST, TOP1, Record


def push(
    source: Run | nn.Module | str | Path,
    repository: str,
    *,
    private: bool = False,
    message: str | None = None,
    licence: str | None = None,
) -> str:
    """Put a network on the Hub as ``config.json``, ``model.safetensors`` and a model card, in one commit.

    It is loaded back from the files before anything is sent, so nothing broken is published. Of paths on this machine
    only the last part is told. The repository is created where there is none; one that holds a model that is not
    Riffle's is left alone.

    Args:
        source: a run or its folder (its best network), a saved network's folder, or a network with a registered name.
        repository: ``owner/name``; what ``riffle.load`` takes afterwards.
        private: only for the owner's eyes.
        message: of the commit.
        licence: that the network is published under, as the Hub names it: ``apache-2.0``, ``mit``, ``cc-by-4.0`` …

    Returns:
        The repository's web address.

    Raises:
        ValueError: no such network, or no name, token, right or network connection to publish it with.
    """
    if "@" in repository:
        raise ValueError(f"a network is published to owner/name, without a revision; got {repository!r}")
    hub.parsed(repository)
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise ValueError(f"the Hub writes licences like apache-2.0, mit or cc-by-4.0; got {licence!r}")
    hub.check_token()
    network, record = _read(source)
    card = card_of(network)
    if card.name is None:
        raise ValueError("Riffle has no name for this network: nobody could build it again from what is published")
    record = replace(
        record,
        reproduce=_without_places(record.reproduce),
        cost=record.cost or _cost(network, card),
        licence=licence or record.licence,
    )
    with TemporaryDirectory(prefix="riffle-push-") as scratch:
        folder = Path(scratch) / "network"
        native.save_folder(network, folder, record, address=repository)
        native.load_folder(folder)
        if {native.CONFIG, native.WEIGHTS} & hub.claim(repository, private=private):
            _refuse_others(repository)
        return hub.commit(repository, folder, message=message or _message(card, record))


def _read(source: Run | nn.Module | str | Path) -> tuple[nn.Module, Record]:
    if isinstance(source, nn.Module):
        return source, Record()
    folder = zoo.saved_in(source.folder.path if isinstance(source, Run) else source)
    config = native.read_config(folder)
    if config["name"] is None:
        raise ValueError(f"{folder} holds a network that Riffle has no name for: nobody could build it again")
    return native.load_folder(folder), native.record_from(config)


def _without_places(reproduce: dict[str, Any]) -> dict[str, Any]:
    """How it was made, without telling where on this machine."""
    told = dict(reproduce)
    for name in ("data", "weights"):
        place = told.get(name)
        if isinstance(place, str) and not (name == "weights" and hub.is_address(place)):
            told[name] = PurePath(place).name
    return told


def _cost(network: Any, card: Card) -> dict[str, int]:
    size = None if card.preprocessing is None else card.preprocessing.size
    inputs = network.example_inputs(size)
    counted = profile(network, inputs=inputs)
    return {name: getattr(counted, name) for name in COST}


def _refuse_others(repository: str) -> None:
    """Raise where a repository holds a model of another kind."""
    try:
        native.read_config(hub.file(repository, native.CONFIG).parent)
    except ValueError as error:
        raise ValueError(f"{repository} holds a model that is not Riffle's, nothing was uploaded: {error}") from error


def _message(card: Card, record: Record) -> str:
    top1 = record.expected.get(TOP1)
    return f"{card.name}, top-1 {top1:.2f} %" if isinstance(top1, int | float) else f"{card.name}"
