"""Remove channel shuffles exactly: the channels are numbered anew, and the weights put in that order.

A shuffle moves data and mixes none. Where every tensor's channels come from is known (:mod:`.channels.origins`), the
movement can be done once, in the weights: what makes channels makes them in another order, and what reads them all
reads them in that order.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from riffle.card import Card, card_of
from riffle.compression.channels.emitting import emitted
from riffle.compression.channels.plan import planned
from riffle.compression.channels.tracing import Untraceable, traced

TOLERANCE = 1e-9
"""Largest difference in float64, relative to what another input changes, that the rewrite may make."""
ROUNDING = 1e-14
"""The same relative to the output, for networks whose output no input changes."""


MULTIPLES = {1: "unshuffle", 8: "unshuffle_8", 16: "unshuffle_16"}
"""What slices may be padded to a multiple of, and what a network's card calls that."""


class Unshuffled(fx.GraphModule):
    """A network whose channels need no shuffling; its weights have the names that they had."""

    @property
    def left(self) -> tuple[str, ...]:
        """The shuffles that are still there, and why."""
        return self.meta.get("left", ())  # type: ignore[no-any-return]

    @property
    def card(self) -> Card:
        """Where the network comes from."""
        return self.meta.get("card", Card())  # type: ignore[no-any-return]  # meta stays with copies

    @card.setter
    def card(self, card: Card) -> None:
        self.meta["card"] = card

    def example_inputs(self, size: int | None = None, *, batch: int = 1) -> tuple[Tensor, ...]:
        """Zeros of the shape that the network was rewritten for; ``size`` is the pictures' side."""
        weight = next(self.parameters())
        inside = [shape[1:] if size is None else (*shape[1:-2], size, size) for shape in self.meta["inputs"]]
        return tuple(torch.zeros(batch, *shape, device=weight.device, dtype=weight.dtype) for shape in inside)


def unshuffle(model: nn.Module, example: Tensor | tuple[Tensor, ...], *, multiple: int = 1) -> nn.Module:
    """A copy that gives the same answers without moving channels about.

    Any network that shuffles, splits and concatenates channels qualifies; its order of operations is found by tracing
    it. The copy trains, exports and saves like any other. What cannot be freed is left, and ``left`` says why: a
    shuffle between grouped convolutions, for instance.

    Args:
        model: the network, in training or evaluation.
        example: what its ``forward`` takes; any numbers, any batch.
        multiple: zeros fill each slice of channels up to a multiple of this, which some runtimes run faster; 1, 8 or
            16. A padded network is for running: trained further, its zeros would not stay.

    Raises:
        ValueError: another multiple, or an example that the network does not take.
        ArithmeticError: the copy gives other answers than the network, for instance since a weight is not finite.
    """
    if multiple not in MULTIPLES:
        raise ValueError(f"slices are padded to a multiple of 1, 8 or 16; got {multiple}")
    inputs = example if isinstance(example, tuple) else (example,)
    card = card_of(model)
    done = replace(card, rewrites=(*card.rewrites, MULTIPLES[multiple]))
    try:
        graph = traced(model, inputs)
    except Untraceable as reason:
        _check_example(model, inputs)
        copy: Any = deepcopy(model)
        copy.card, copy.left = done, (str(reason),)
        return copy  # type: ignore[no-any-return]
    reference = model if not model.training else deepcopy(graph.module)
    plan = planned(graph, multiple)
    network = Unshuffled(graph.module, emitted(plan), type(model).__name__)
    network.meta = {"left": plan.left, "card": done, "inputs": [tuple(x.shape) for x in inputs]}
    network.training = model.training
    _prove(network, reference, inputs)
    return network


def unshuffled_again(model: nn.Module, *, multiple: int = 1) -> nn.Module:
    """Repeat the rewrite on a network that knows its own example, so that saved weights fit it.

    Raises:
        ValueError: the network has no ``example_inputs``.
    """
    if not hasattr(model, "example_inputs"):
        raise ValueError(f"{type(model).__name__} tells no example_inputs to unshuffle it for")
    example: Any = model.example_inputs
    return unshuffle(model, example(), multiple=multiple)


def _check_example(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Raise ``ValueError`` where it is the example that is wrong, not the network that cannot be traced."""
    copy = deepcopy(model).eval()
    try:
        with torch.no_grad():
            copy(*(x.clone() for x in inputs))
    except Exception as error:  # foreign code raises anything
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the network does not take an example of {shapes}: {reason}") from error


def _prove(network: nn.Module, reference: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    one, other = (_exact(module) for module in (network, reference))
    generator = torch.Generator().manual_seed(0)
    first, second = (tuple(_random(x, generator) for x in inputs) for _ in range(2))
    with torch.no_grad():
        got, expected, changed = _numbers(one, first), _numbers(other, first), _numbers(other, second)
    for a, b, c in zip(got, expected, changed, strict=True):
        difference = (a - b).abs().max().item()
        if not difference <= max(TOLERANCE * (b - c).abs().max().item(), ROUNDING * b.abs().max().item()):
            raise ArithmeticError(f"removing the shuffles changed an answer by {difference:.2g}")


def _exact(module: nn.Module) -> nn.Module:
    """A copy in float64, in evaluation."""
    copy = deepcopy(module).cpu().double().eval()
    if isinstance(copy, fx.GraphModule):  # what was traced in training says so in its arguments
        for node in copy.graph.nodes:
            if node.kwargs.get("training"):
                node.update_kwarg("training", False)
        copy.recompile()
    return copy


def _random(x: Tensor, generator: torch.Generator) -> Tensor:
    if not x.is_floating_point():
        return x.cpu()
    return torch.randn(x.shape, generator=generator, dtype=torch.float64)


def _numbers(module: Callable[..., Any], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    leaves = [leaf for leaf in tree_leaves(module(*(x.clone() for x in inputs))) if isinstance(leaf, Tensor)]
    return [leaf.double() for leaf in leaves if leaf.numel()]
