"""The order that each computed tensor has its channels in, so that whoever reads some finds them side by side.

Channels that stand at one place of a carrier or of a pair are one *class*, and move together. Classes that the same
operations read are a *group*. Every tensor lists its groups one after the other, so that a reader takes a few slices;
an order that cannot be chosen, or that a reader needs, decides within a group.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from torch import fx

from riffle.compression.channels.origins import Origins, Value
from riffle.compression.channels.roles import Kind

EMPTY = -1
"""In an order: a channel of zeros, for padding."""


class Classes:
    """A partition of numbers that starts with each for itself."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def __getitem__(self, number: int) -> int:
        """The least number of the class."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def join(self, numbers: Iterable[int]) -> None:
        """Make one class of all that these belong to."""
        roots = sorted({self[number] for number in numbers})
        for root in roots[1:]:
            self._parent[root] = roots[0]


@dataclass
class Layout:
    """For each channel: its class, the group of the class, and the place in the group."""

    origins: Origins
    multiple: int
    classes: Classes
    group: dict[int, int] = field(default_factory=dict)
    """By class; a group is called by its least channel, so groups come in the order of the network."""
    place: dict[int, int] = field(default_factory=dict)
    """By class."""
    exact: set[int] = field(default_factory=set)
    """Groups that cannot be padded."""

    def arranged(self, channels: Sequence[int]) -> list[int]:
        """The channels of one tensor in their order, group by group, with the padding."""

        def group(channel: int) -> int:
            return self.group[self.classes[channel]]

        order: list[int] = []
        ranked = sorted(channels, key=lambda c: (group(c), self.place[self.classes[c]], c))
        for name, members in groupby(ranked, key=group):
            order.extend(members)
            if name not in self.exact:
                order.extend([EMPTY] * (-len(order) % self.multiple))
        return order


def layout_of(origins: Origins, multiple: int) -> Layout:
    """Group the channels of a network by who reads them."""
    layout = Layout(origins, multiple, _classes(origins))
    readers, ordered, exact = _readers(layout)
    members: dict[int, list[int]] = {}
    for channel in range(len(origins.by_channel)):
        members.setdefault(layout.classes[channel], []).append(channel)
    least: dict[object, int] = {}
    for name, channels in members.items():  # by least channel
        sources = [origins.source_of(channel) for channel in channels]
        fixed = [(channel, source) for channel, source in zip(channels, sources, strict=True) if source.is_fixed]
        tied = fixed[0][1].first if fixed else None
        kind = tied if tied is not None else (frozenset(readers.get(name, ())), frozenset(s.first for s in sources))
        layout.group[name] = least.setdefault(kind, name)
        layout.place[name] = fixed[0][0] if fixed else ordered.get(name, name)
        if fixed or name in exact:
            layout.exact.add(layout.group[name])
    return layout


def joined_with(node: fx.Node, origins: Origins) -> list[Value]:
    """The values whose channels stand at the places of the result's."""
    kind, read = origins.roles[node].kind, origins.read_by(node)
    if kind not in (Kind.CARRY, Kind.PAIR):
        return []
    return [value for value in read if len(value.channels) * origins.roles[node].each == origins.made[node].count]


def _classes(origins: Origins) -> Classes:
    classes = Classes(len(origins.by_channel))
    for node, source in origins.made.items():
        each = origins.roles[node].each
        for value in joined_with(node, origins):
            for index, channel in enumerate(source.channels):
                classes.join((channel, value.channels[index // each]))
    return classes


def _readers(layout: Layout) -> tuple[dict[int, set[int]], dict[int, int], set[int]]:
    """By class: who reads it, and its place in the first that needs an order; then the classes without padding."""
    origins, classes = layout.origins, layout.classes
    readers: dict[int, set[int]] = {}
    ordered: dict[int, int] = {}
    exact: set[int] = set()
    for index, (node, role) in enumerate(origins.roles.items()):
        if role.kind in (Kind.ROUTE, Kind.SIZE):
            continue
        place = 0
        for value in origins.read_by(node):
            needs_all = role.kind in (Kind.FIXED, Kind.REDUCE) or role.counts or node in origins.carriers
            is_spread = role.kind is Kind.PAIR and value not in joined_with(node, origins)
            for channel in value.channels:
                name = classes[channel]
                readers.setdefault(name, set()).add(index)
                if role.kind is Kind.FIXED:
                    ordered.setdefault(name, place)
                if needs_all or is_spread or role.each > 1 or value.block > 1:
                    exact.add(name)
                place += 1
    return readers, ordered, exact
