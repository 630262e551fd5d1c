"""Weights: what Riffle saves, and what it takes over from elsewhere."""

from importlib import import_module
from types import ModuleType

__all__ = ["adopt", "native", "sources"]


def __getattr__(name: str) -> ModuleType:
    """The modules are imported when they are used: the table of sources needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
