"""What a network carries with it: which variant it is, how to preprocess for it, what its classes are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Card:
    """Facts about a network that its weights do not tell. Copies and rewrites of the network keep them."""

    name: str | None = None
    """Registered variant, or None for a network from elsewhere."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments given beside the variant's own."""
    rewrites: tuple[str, ...] = ()
    """Rewrites done since, oldest first."""
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    temperature: float = 1.0
    """What the scores were divided by to calibrate the probabilities."""

    def with_argument(self, name: str, value: Any) -> "Card":
        """A copy with one constructor argument changed."""
        return replace(self, arguments={**self.arguments, name: value})


def card_of(network: "nn.Module") -> Card:
    """The card of a network; an empty one where none was given."""
    card = getattr(network, "card", None)
    return card if isinstance(card, Card) else Card()
