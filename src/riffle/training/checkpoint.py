"""Everything needed to go on with a training, in one file that is either whole or absent."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from riffle.files import replacing
from riffle.weights.native import fill


@dataclass
class State:
    """Where a training stands. Times are not part of it, so a resumed run has the same weights but other seconds."""

    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Steps done in the next one."""
    loss_sum: float = 0.0
    """Of the pictures seen in that epoch."""
    pictures_seen: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    """The history's best entry."""
    finished: bool = False


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    *,
    average: nn.Module | None = None,
) -> None:
    """Write network, optimizer and state; raises ``OSError`` when the disk is full, with the older file unharmed.

    ``average`` is the running average of the weights, of trainings that keep one.
    """
    tensors = {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous()
        for prefix, module in _modules(network, average).items()
        for name, tensor in module.state_dict().items()
    }
    numbers: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers[f"{index}.{name}"] = value
    notes = {"state": json.dumps(asdict(state)), "optimizer": json.dumps(numbers)}
    with replacing(path) as draft:
        draft.write_bytes(save(tensors, metadata=notes))


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, *, average: nn.Module | None = None
) -> State:
    """Fill network, optimizer and average, and return the state.

    Raises:
        ValueError: the file is damaged or belongs to another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        state = State(**json.loads(notes["state"]))
        numbers = json.loads(notes["optimizer"])
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"the checkpoint {path} is damaged; remove it to start this run anew") from error
    for prefix, module in _modules(network, average).items():
        begin = f"{prefix}."
        weights = {name.removeprefix(begin): tensor for name, tensor in tensors.items() if name.startswith(begin)}
        fill(module, weights, source=str(path))
    table = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *((f"optimizer.{name}", value) for name, value in numbers.items())]:
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            entries.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], value)
    optimizer.load_state_dict({"state": entries, "param_groups": table["param_groups"]})
    return state


def _modules(network: nn.Module, average: nn.Module | None) -> dict[str, nn.Module]:
    """By the beginning of their tensors' names."""
    return {"network": network} if average is None else {"network": network, "average": average}


@torch.no_grad()
def _laid_out_like(parameter: Tensor, value: Any) -> Any:
    """The value in the parameter's memory order; fused optimizers go through both as flat memory."""
    is_twin = isinstance(value, Tensor) and value.shape == parameter.shape
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value) if is_twin else value


def read_state(path: Path) -> State:
    """The state alone, without tensors; raises ``ValueError`` for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return State(**json.loads((file.metadata() or {})["state"]))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"the checkpoint {path} is damaged; remove it to start this run anew") from error
