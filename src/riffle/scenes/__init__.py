"""Hyperspectral scenes: reading, honest splits, windows, networks, and a whole scene in one pass."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {"dense": "riffle.scenes.inference", "read": "riffle.scenes.reading"}

__all__ = ["dense", "read"]

if TYPE_CHECKING:
    from riffle.scenes.inference import dense
    from riffle.scenes.reading import read


def __getattr__(name: str) -> Any:  # loaded when used: the settings are read without torch
    if name not in _HOME:
        raise AttributeError(f"module 'riffle.scenes' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
