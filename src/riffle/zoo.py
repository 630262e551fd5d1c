"""Networks by name: make one, load one, count one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import riffle.compression  # registers the rewrites that saved networks name
import riffle.models  # noqa: F401  (registers the variants)
from riffle import registry
from riffle.card import card_of
from riffle.profiling.cost import profile
from riffle.training.transfer import first_convolution, head_of, replace_head, replace_input
from riffle.weights import hub, native, sources
from riffle.weights.adopt import adopt
from riffle.weights.files import read_state
from riffle.weights.norms import set_norm_eps


def names(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern such as ``shufflenet_v2*``, in the order of the papers' tables."""
    return registry.names(pattern)


def create(
    name: str,
    *,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    size: int | None = None,
) -> nn.Module:
    """A network by its registered name.

    Args:
        name: variant, as ``riffle models`` lists them.
        weights: None for fresh ones; who publishes them, as in ``"torchvision"``, ``"timm"`` or ``"package"``, with a
            tag where there are several, as in ``"timm:resnet50.a1_in1k"`` (downloads are kept in torch's cache, and
            ``"package"`` needs no network); a folder that Riffle saved; a file of weights, Riffle's own or another
            implementation's with its layers in the order in which they run; or ``owner/name`` on the Hub.
        num_classes: size of the output; None for that of the weights, or the variant's own (1000 for pictures).
            Another number than that of the weights gets a fresh last layer.
        in_channels: channels of the input, 3 when left out. Another number than that of the weights gets a first
            convolution with the mean of theirs (:func:`riffle.training.transfer.replace_input`).
        size: the pictures' side in pixels, for the networks whose layers depend on it (``lenet``, ``vit_b_16``);
            others only note it. Published weights keep the size that they were trained at.

    Raises:
        ValueError: no such network or weights, they do not fit, or the network knows no classes or channels.
    """
    sized = {"size": size} if size is not None and registry.takes(name, "size") else {}
    if weights is None:
        asked = {"num_classes": num_classes, "in_channels": in_channels}
        return registry.build(name, **{k: v for k, v in asked.items() if v is not None}, **sized)
    source = sources.find(name, str(weights))
    if source is not None:
        network = _published(name, source)
    elif Path(weights).is_dir() or _is_on_hub(weights):
        network = load(weights)
        if card_of(network).name != name:
            raise ValueError(f"{weights} holds the weights of {card_of(network).name}, not of {name}")
    elif Path(weights).exists():
        network = _from_file(name, Path(weights), sized)
    else:
        origins = ", ".join(source.name for source in sources.available(name))
        raise ValueError(
            f"no weights {weights} for {name}: give a folder, a file, owner/name on the Hub"
            + (f", or {origins}" * bool(origins))
        )
    if num_classes is not None and len(head_of(network).weight) != num_classes:
        network = replace_head(network, num_classes)
    first = first_convolution(network)
    if in_channels is not None and (first is None or first.in_channels != in_channels):
        network = replace_input(network, in_channels)
    return network


def load(folder: str | Path, *, network: nn.Module | None = None) -> nn.Module:
    """A network that Riffle saved, in evaluation mode: from a folder, or from the Hugging Face Hub.

    Args:
        folder: a run (its best weights) or a single network; where there is none, a repository of the Hub,
            ``owner/name`` or ``owner/name@revision``. It is downloaded once and kept in the Hub library's cache.
        network: takes the weights where the folder holds a network that has no registered name.

    Raises:
        ValueError: there is nothing of the kind, or it is damaged. Nothing that comes is unpickled.
    """
    if _is_on_hub(folder):
        return _from_hub(str(folder), network)
    return native.load_folder(saved_in(folder), network=network)


def saved_in(folder: str | Path) -> Path:
    """Where a run, or a single network, has its saved network; raises ``ValueError`` where there is nothing at all."""
    folder = Path(folder)
    if not folder.exists():
        raise ValueError(
            f"there is nothing at {folder}: give a run's folder, a saved network's, or owner/name on the Hub"
        )
    best = folder / "best"
    return best if best.is_dir() else folder


def count(name: str, size: int | None = None) -> dict[str, Any] | None:
    """A network's parameters, MACs and memory access for one input, at its own size or pictures of ``size`` pixels.

    None where the network takes no pictures so small.
    """
    try:
        with torch.device("meta"):
            network: Any = create(name, size=size)
            inputs = network.example_inputs(size)
    except ValueError:
        return None
    cost = profile(network, inputs=inputs)
    return {
        "name": name,
        "params": cost.params,
        "macs": cost.macs,
        "memory_access": cost.memory_access,
        "size": inputs[0].shape[-1],
    }


def _is_on_hub(source: str | Path) -> bool:
    """Whether a source can only mean a repository of the Hub: what lies here under that name comes first."""
    return isinstance(source, str) and hub.is_address(source) and not Path(source).exists()


def _from_hub(address: str, network: nn.Module | None) -> nn.Module:
    try:
        folder = native.fetch_folder(address)
    except ValueError as error:
        raise ValueError(f"there is no folder {address} here; {error}") from error
    try:
        return native.load_folder(folder, network=network)
    except ValueError as error:
        raise ValueError(f"{address} on the Hub can't be loaded: {error}") from error


def _published(name: str, source: sources.Source) -> nn.Module:
    state = sources.state_of(source)
    sized = {"size": source.preprocessing.size} if registry.takes(name, "size") else {}
    network = registry.build(name, num_classes=_classes_in(state, name, sized), **sized)
    try:
        adopt(network, state)
    except ValueError as error:
        raise ValueError(f"the weights {source.name} are not those of {name}: {error}") from error
    if source.norm_eps is not None:
        set_norm_eps(network, source.norm_eps)
    network.card = replace(card_of(network), preprocessing=source.preprocessing)  # type: ignore[assignment]
    return network


def _from_file(name: str, path: Path, sized: dict[str, int]) -> nn.Module:
    """Weights under Riffle's names, or those of another implementation in the order of their definition."""
    state = read_state(path)
    network = registry.build(name, num_classes=_classes_in(state, name, sized), **sized)
    if state.keys() & network.state_dict().keys() or path.suffix == ".safetensors":
        native.fill(network, state, source=str(path))
        return network
    try:
        adopt(network, state)
    except ValueError as error:
        raise ValueError(f"the weights in {path} do not fit {name}: {error}") from error
    return network


def _classes_in(state: Mapping[str, Tensor], name: str, sized: dict[str, int]) -> int:
    """The size of the output that weights were made for: the rows of their last layer."""
    with torch.device("meta"):
        network = registry.build(name, **sized)
    head = head_of(network).weight
    own = next(key for key, tensor in network.named_parameters() if tensor is head)
    rows = [len(tensor) for tensor in state.values() if tensor.ndim >= 2]
    if own not in state and not rows:
        raise ValueError(f"these are no weights of {name}: there is no layer among them")
    return len(state[own]) if own in state else rows[-1]
