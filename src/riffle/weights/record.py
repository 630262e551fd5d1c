"""What is told about a saved network beside its card."""

from dataclasses import dataclass, field
from typing import Any

TOP1, TOP5, LOSS = "top-1 on held-out pictures, %", "top-5 on held-out pictures, %", "loss, nats"
HELD_OUT, LEARNED = "held-out pictures", "pictures learned from"
"""Names in :attr:`Record.expected`."""

COST = ("params", "macs", "memory_access", "size")
"""Names in :attr:`Record.cost`, as in :class:`riffle.profiling.cost.Profile`: what one picture of that size costs."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a reader of a saved network wants to know: what to expect of it, what it costs and how it was made."""

    expected: dict[str, Any] = field(default_factory=dict)
    """Scores on held-out pictures, and how many pictures these were, by name."""
    reproduce: dict[str, Any] = field(default_factory=dict)
    """The recipe, the data it was trained with, and on what machine."""
    cost: dict[str, int] = field(default_factory=dict)
    """The numbers that :data:`COST` names; empty where they were not counted."""
    licence: str | None = None
    """As the Hub names it (``apache-2.0``); None where nobody said."""
