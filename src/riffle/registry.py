"""Which networks and rewrites there are: one table from a name to a constructor."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from riffle.card import Card

if TYPE_CHECKING:
    from torch import nn

Rewrite = Callable[["nn.Module"], "nn.Module"]

_variants: dict[str, tuple[Callable[..., "nn.Module"], Mapping[str, Any]]] = {}
_rewrites: dict[str, Rewrite] = {}


def register(constructor: Callable[..., "nn.Module"], variants: Mapping[str, Mapping[str, Any]]) -> None:
    """Add a paper's table: each name with the arguments that make that variant."""
    assert not _variants.keys() & variants.keys(), "a name is registered twice"
    _variants.update({name: (constructor, arguments) for name, arguments in variants.items()})


def register_rewrite(name: str, rewrite: Rewrite) -> None:
    """Add a rewrite that a saved network may name, so that loading can repeat it."""
    _rewrites[name] = rewrite


def rewrite_named(name: str) -> Rewrite:
    """The rewrite of that name; raises ``ValueError`` when there is none."""
    if name not in _rewrites:
        raise ValueError(f"no rewrite called {name!r}: this version of Riffle has {', '.join(sorted(_rewrites))}")
    return _rewrites[name]


def names(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern, in the order of their papers' tables."""
    return [name for name in _variants if fnmatch(name, pattern)]


def takes(name: str, argument: str) -> bool:
    """Whether a variant's constructor has an argument of that name."""
    return argument in inspect.signature(_lookup(name)[0]).parameters


def constructor_of(name: str) -> Callable[..., "nn.Module"]:
    """What makes a variant; raises ``ValueError`` for a name that is not registered."""
    return _lookup(name)[0]


def default(name: str, argument: str) -> Any:
    """What a variant's argument is when it is not given; None where it takes none of that name."""
    constructor, variant = _lookup(name)
    parameter = inspect.signature(constructor).parameters.get(argument)
    return variant.get(argument, None if parameter is None else parameter.default)


def build(name: str, **arguments: Any) -> "nn.Module":
    """A network with fresh weights.

    Raises:
        ValueError: for a name that is not registered (the nearest one is suggested) or an argument it does not take.
    """
    constructor, variant = _lookup(name)
    known = inspect.signature(constructor).parameters
    if unknown := arguments.keys() - known.keys():
        raise ValueError(f"{name} takes no {', '.join(sorted(unknown))}; it takes {', '.join(known)}")
    network = constructor(**{**variant, **arguments})
    network.card = Card(name, arguments)  # type: ignore[assignment]  # a plain attribute, not a parameter
    return network


def _lookup(name: str) -> tuple[Callable[..., "nn.Module"], Mapping[str, Any]]:
    if name not in _variants:
        near = get_close_matches(name, _variants, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "`riffle models` lists them"
        raise ValueError(f"no network called {name!r}: {hint}")
    return _variants[name]
