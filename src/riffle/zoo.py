"""Networks by name: make one, load one, list them all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

import riffle.compression  # registers the rewrites that saved networks name
import riffle.models  # noqa: F401  (registers the variants)
from riffle import registry
from riffle.card import card_of
from riffle.profiling.cost import profile
from riffle.training.transfer import head_of, replace_head
from riffle.weights import native, sources
from riffle.weights.adopt import adopt


def names(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern such as ``shufflenet_v2*``, in the order of the papers' tables."""
    return registry.names(pattern)


def create(
    name: str,
    *,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    in_channels: int = 3,
    size: int | None = None,
) -> nn.Module:
    """A network by its registered name.

    Args:
        name: variant, as ``riffle models`` lists them.
        weights: None for fresh ones; ``"torchvision"`` downloads the published ones (kept in torch's cache); a folder
            that Riffle saved, or a file of weights (``.safetensors``, ``.pth``) with this network's tensor names.
        num_classes: size of the output; None for that of the weights, or 1000. Another number than that of the
            weights gets a fresh classifier.
        in_channels: channels of the input; 3 where weights are given.
        size: the pictures' side in pixels, for the networks whose layers depend on it (``lenet``).

    Raises:
        ValueError: no such network or weights, or they do not fit.
    """
    sized = {"size": size} if size is not None and registry.takes(name, "size") else {}
    if weights is None:
        return registry.build(name, num_classes=num_classes or 1000, in_channels=in_channels, **sized)
    if in_channels != 3:
        raise ValueError("published weights expect 3 input channels; leave weights out for another number")
    if weights == "torchvision":
        state, source = sources.torchvision(name)
        network = registry.build(name, **sized)
        adopt(network, state)
        network.card = replace(card_of(network), preprocessing=source.preprocessing)  # type: ignore[assignment]
    elif Path(weights).is_dir():
        network = load(weights)
        if card_of(network).name != name:
            raise ValueError(f"{weights} holds the weights of {card_of(network).name}, not of {name}")
    else:
        network = _from_file(name, Path(weights), sized)
    if num_classes is not None and len(head_of(network).weight) != num_classes:
        network = replace_head(network, num_classes)
    return network


def load(folder: str | Path, *, network: nn.Module | None = None) -> nn.Module:
    """A network from a folder that Riffle saved: a run (its best weights) or a single network, in evaluation mode.

    ``network`` takes the weights where the folder holds a network that has no registered name.
    """
    folder = Path(folder)
    best = folder / "best"
    return native.load_folder(best if best.is_dir() else folder, network=network)


def catalogue(pattern: str = "*", *, size: int | None = None) -> list[dict[str, Any]]:
    """Name, parameters, MACs (at ``size`` pixels, or the network's own input) and published weights of each network."""
    if size is not None and size < 1:
        raise ValueError(f"size is a number of pixels; got {size}")
    rows = []
    for name in registry.names(pattern):
        try:
            with torch.device("meta"):
                network: Any = create(name, size=size)
                inputs = network.example_inputs(size)
        except ValueError:  # this one takes no pictures so small
            continue
        cost = profile(network, inputs=inputs)
        own = inputs[0].shape[-1]
        weights = ["torchvision"] if name in sources.TORCHVISION else []
        rows.append({"name": name, "params": cost.params, "macs": cost.macs, "size": own, "weights": weights})
    return rows


def _from_file(name: str, path: Path, sized: dict[str, int]) -> nn.Module:
    state = _read_state(path)
    heads = [tensor for key, tensor in state.items() if key.startswith("classifier.") and tensor.ndim == 2]
    network = registry.build(name, num_classes=len(heads[-1]) if heads else 1000, **sized)
    native.fill(network, state, source=str(path))
    return network


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise ValueError(f"no weights at {path}: give a folder that Riffle saved, a file, or torchvision")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} holds no weights that can be read: {why}") from error
    except Exception as error:  # what torch's restricted unpickler refuses
        raise ValueError(f"{path} is no file of weights, or holds more than weights: it is not loaded") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a table of tensors")
    return state
