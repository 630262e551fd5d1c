"""The processes that train together, and the devices that they compute on."""

from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState


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
