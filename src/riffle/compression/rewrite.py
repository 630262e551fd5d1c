"""Replace modules in a copy of a network."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace as replaced
from typing import TypeVar, cast

from torch import nn

from riffle.card import card_of

Network = TypeVar("Network", bound=nn.Module)
Replace = Callable[[nn.Module], nn.Module | None]


def rewrite(network: Network, replace: Replace, *, name: str) -> Network:
    """A copy in which each module that ``replace`` answers for is its answer; the rest is untouched.

    ``replace`` sees every submodule once, outermost first, and is not asked about the inside of what it replaced. A
    module that is used in several places is replaced in all of them. The copy's card notes ``name``.
    """
    copy = deepcopy(network)
    answers: dict[int, nn.Module | None] = {}

    def visit(parent: nn.Module) -> None:
        for child_name, child in list(parent._modules.items()):  # named_children() leaves out what is used twice
            if child is None:
                continue
            if id(child) not in answers:
                answers[id(child)] = replace(child)
                if answers[id(child)] is None:
                    visit(child)
            answer = answers[id(child)]
            if answer is not None:
                setattr(parent, child_name, answer)

    whole = nn.ModuleList([copy])  # so that the network itself is asked about too
    visit(whole)
    copy = cast(Network, whole[0])
    card = card_of(network)
    copy.card = replaced(card, rewrites=(*card.rewrites, name))  # type: ignore[assignment]  # a plain attribute
    return copy
