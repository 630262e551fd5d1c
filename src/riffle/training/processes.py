"""The processes that train together, and the devices that they compute on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType


def processes() -> PartialState:
    """This one among those that ``torchrun`` or ``accelerate launch`` started; alone where nobody did."""
    return PartialState(cpu=not torch.accelerator.is_available())  # else processors are not joined to a group


def accelerator(precision: str = "no", **settings: Any) -> Accelerator:
    """Devices and processes as ``accelerate`` finds them, with a precision of its own for each training.

    Args:
        precision: ``no``, ``bf16`` or ``fp16``.
        settings: further arguments of :class:`accelerate.Accelerator`.
    """
    processes()
    AcceleratorState._reset_state()  # it keeps a precision for good
    return Accelerator(mixed_precision=precision, cpu=not torch.accelerator.is_available(), **settings)


def tracked(precision: str, trackers: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> Accelerator:
    """The same, with trackers by the names that ``accelerate`` knows, which log to the folder or where they always do.

    ``settings`` are told to them at the start.

    Raises:
        ValueError: no such tracker, or its package is not installed.
    """
    if not trackers:
        return accelerator(precision)
    known = [str(one) for one in LoggerType.list() if str(one) != "all"]
    if unknown := [name for name in trackers if name not in known]:
        raise ValueError(f"no tracker called {unknown[0]}: one of {', '.join(known)}")
    if missing := set(trackers) - {str(one) for one in get_available_trackers()}:
        raise ValueError(f"--track {min(missing)} needs its package: pip install {min(missing)}")
    found = accelerator(precision, log_with=list(trackers), project_dir=folder)
    found.init_trackers("riffle", config=dict(settings))
    return found
