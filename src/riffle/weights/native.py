"""Folders that describe themselves: ``config.json``, ``model.safetensors`` and a model card, as on the Hub."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from riffle import registry
from riffle.card import Card, card_of
from riffle.files import replacing_folder, write_json
from riffle.preprocessing import Preprocessing
from riffle.weights import hub
from riffle.weights.model_card import model_card
from riffle.weights.norms import norm_eps, set_norm_eps
from riffle.weights.record import Record as Record

FORMAT = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
README = "README.md"


def save_folder(network: nn.Module, folder: Path, record: Record, *, address: str | None = None) -> None:
    """Write a network with its card. The folder appears whole or not at all.

    ``address`` is where the model card tells to load it from; the folder's name when left out.

    Raises:
        ValueError: the folder holds something else than a saved network.
        OSError: the disk is full or the folder cannot be written; an older folder of that name is then still there.
    """
    card = card_of(network)
    config = {
        "format": FORMAT,
        "name": card.name,
        "arguments": dict(card.arguments),
        "rewrites": list(card.rewrites),
        "norm_eps": norm_eps(network),
        "classes": None if card.classes is None else list(card.classes),
        "preprocessing": None if card.preprocessing is None else card.preprocessing.to_dict(),
        "temperature": card.temperature,
        "expected": record.expected,
        "reproduce": record.reproduce,
        "cost": record.cost,
        "licence": record.licence,
    }
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).exists():
        raise ValueError(f"{folder} holds other files: choose another folder")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    weights = save(state, metadata={"format": "pt"})
    params = sum(parameter.numel() for parameter in network.parameters())
    readme = model_card(card, record, address=address or folder.name, params=params, weights_bytes=len(weights))
    with replacing_folder(folder) as draft:
        (draft / WEIGHTS).write_bytes(weights)
        write_json(draft / CONFIG, config)
        (draft / README).write_text(readme, encoding="utf-8")


def load_folder(folder: Path, *, network: nn.Module | None = None) -> nn.Module:
    """Read a network back, in evaluation mode.

    A registered variant is built by its name, the rewrites it had are repeated, and the weights are filled in. A
    network from elsewhere has no name here: give an instance of it as ``network``, which is filled in place.

    Raises:
        ValueError: the folder is not one of ours, is damaged, or its weights do not fit.
    """
    config = read_config(folder)
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    if network is None:
        if config["name"] is None:
            raise ValueError(f"{folder} holds a network that Riffle has no name for: build it and pass it as network=…")
        try:
            network = registry.build(config["name"], **config["arguments"])
        except (TypeError, RuntimeError, ArithmeticError, AssertionError, AttributeError, LookupError) as error:
            raise ValueError(f"{folder / CONFIG} describes no network that can be built: {error}") from error
        for rewrite in config["rewrites"]:
            network = registry.rewrite_named(rewrite)(network)
    fill(network, state, source=str(folder))
    set_norm_eps(network, config.get("norm_eps", {}))
    network.card = card_from(config)  # type: ignore[assignment]  # a plain attribute
    return network.eval()


def fetch_folder(address: str) -> Path:
    """The folder of a network that somebody published on the Hub, in the Hub library's cache.

    Raises:
        ValueError: the Hub has none there, it is not one of Riffle's, or there is no network connection.
    """
    repository, revision = hub.parsed(address)
    folder = hub.snapshot(repository, (CONFIG, README), revision=revision)
    try:
        read_config(folder)  # before the weights come: another library's may be gigabytes
    except ValueError:
        raise ValueError(f"{address} on the Hub is not a network that this version of Riffle saved") from None
    return hub.snapshot(repository, (CONFIG, README, WEIGHTS), revision=folder.name)


def fill(network: nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    """Put weights into a network of the same layout; raises ``ValueError`` naming the first tensors that do not fit."""
    own = network.state_dict()
    wrong = [f"{name} is missing" for name in own.keys() - state.keys()]
    wrong += [f"{name} is not in this network" for name in state.keys() - own.keys()]
    wrong += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if own[name].shape != state[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"the weights in {source} do not fit: {'; '.join(sorted(wrong)[:3])}{more}")
    network.load_state_dict(state)


def read_config(folder: Path) -> dict[str, Any]:
    """The described facts alone, without weights; raises ``ValueError`` where there are none."""
    path = Path(folder) / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT or not isinstance(config["arguments"], dict):
            raise KeyError("format")
        if not isinstance(config["name"], str | None):
            raise KeyError("name")
        card_from(config)
        if not all(isinstance(eps, float) for eps in config.get("norm_eps", {}).values()):
            raise KeyError("norm_eps")
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no saved network ({CONFIG} is missing)") from None
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a description that this version of Riffle can read") from error
    return config


def record_from(config: dict[str, Any]) -> Record:
    """The record in a config; what older versions did not write is empty."""
    kinds: dict[str, type] = {"expected": dict, "reproduce": dict, "cost": dict, "licence": str}
    return Record(**{name: config[name] for name, kind in kinds.items() if isinstance(config.get(name), kind)})


def card_from(config: dict[str, Any]) -> Card:
    """The card in a config."""
    return Card(
        name=config["name"],
        arguments=config["arguments"],
        rewrites=tuple(config["rewrites"]),
        preprocessing=None if config["preprocessing"] is None else Preprocessing.from_dict(config["preprocessing"]),
        classes=None if config["classes"] is None else tuple(config["classes"]),
        temperature=float(config.get("temperature", 1.0)),  # older versions did not write it
    )
