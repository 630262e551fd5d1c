"""Which pieces of which tensors each operation reads, and which shuffles are worth their removal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import fx

from riffle.compression.channels.layout import EMPTY, Classes, Layout, joined_with, layout_of
from riffle.compression.channels.origins import Origins, Value, origins_of
from riffle.compression.channels.roles import Kind
from riffle.compression.channels.tracing import Traced, part_of

PIECES = 16
"""More slices than this are brought together faster by one gather."""
SHORTEST = 4
"""So are slices of fewer channels on average, where a tensor is cut more than once."""


@dataclass(frozen=True)
class Piece:
    """Places ``start`` to ``stop`` of a source's channels."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Read:
    """What an operation reads in place of a value: the concatenation of pieces, gathered where that is not enough."""

    pieces: tuple[Piece, ...]
    gather: tuple[int, ...] | None
    columns: tuple[int, ...]
    """For each channel that is read: its place in the value as the network was written; ``EMPTY`` for padding."""


@dataclass
class Plan:
    """The rewritten network, before it is written."""

    origins: Origins
    orders: list[tuple[int, ...]] = field(default_factory=list)
    """The channels of each source in their order."""
    reads: dict[tuple[fx.Node, fx.Node], Read] = field(default_factory=dict)
    """By the operation that reads and the one that is read."""
    costly: list[tuple[fx.Node, int]] = field(default_factory=list)
    """Operations that need a gather, or slices in an order of their own, with a source of what they read."""
    left: tuple[str, ...] = ()
    """What was left as it was, and why."""


class _NoPadding(Exception):
    """Two tensors that are joined are padded at other places."""

    def __init__(self, channel: int) -> None:
        super().__init__(channel)
        self.channel = channel


def planned(graph: Traced, multiple: int) -> Plan:
    """Free the channels' order, and leave the shuffles that this does not pay for."""
    as_written: set[fx.Node] = set()
    shuffles: dict[fx.Node, tuple[fx.Node, int]] = {}
    reasons: list[str] = []
    while True:
        origins = origins_of(graph, as_written, shuffles)
        plan = _plan(origins, multiple)
        unpaid = _unpaid(plan)
        plan.left = tuple(reasons)
        if not unpaid:
            return plan
        for routers, reason in unpaid:
            as_written.update(routers)
            shuffles.update({node: found for node in routers if (found := _as_shuffle(node, origins))})
            reasons.extend([reason] if reason else [])


def _plan(origins: Origins, multiple: int) -> Plan:
    layout = layout_of(origins, multiple)
    while True:
        try:
            return _laid_out(layout)
        except _NoPadding as missing:
            layout.exact.add(layout.group[layout.classes[missing.channel]])


def _laid_out(layout: Layout) -> Plan:
    origins = layout.origins
    plan = Plan(origins)
    location: dict[int, tuple[int, int]] = {}
    for node, role in origins.roles.items():
        if role.kind is Kind.ROUTE:
            continue
        source = origins.made.get(node)
        order = [] if source is None else _order(node, layout)
        for read in _reading(node, origins):
            value = origins.values[read]
            if role.kind in (Kind.MIX, Kind.REDUCE, Kind.SIZE):
                columns, places = _any_order(value, location, plan)
            elif value in joined_with(node, origins):
                assert source is not None
                columns = [c if c == EMPTY else (c - source.first) // role.each for c in order[:: role.each]]
                places = _places(columns, value, location, plan)
            else:
                columns = list(range(len(value.channels)))
                places = _places(columns, value, location, plan)
            if role.kind is not Kind.SIZE:
                plan.reads[node, read] = found = _read(places, columns)
                if _is_costly(found, is_ordered=role.kind is Kind.FIXED):
                    plan.costly.append((node, found.pieces[0].source))
        if source is not None:
            location.update({channel: (len(plan.orders), place) for place, channel in enumerate(order)})
            plan.orders.append(tuple(order))
    return plan


def _reading(node: fx.Node, origins: Origins) -> list[fx.Node]:
    if node in origins.shuffles:
        return [origins.shuffles[node][0]]
    values = [read for read in dict.fromkeys(node.all_input_nodes) if isinstance(origins.values.get(read), Value)]
    return [read for read in values if not origins.is_weight(read, node)]


def _order(node: fx.Node, layout: Layout) -> list[int]:
    origins = layout.origins
    source, each = origins.made[node], origins.roles[node].each
    if source.is_fixed:
        return list(source.channels)
    if each == 1:
        return layout.arranged(source.channels)
    (value,) = joined_with(node, origins)
    place = {channel: index for index, channel in enumerate(value.channels)}
    if len(place) < len(value.channels):
        return list(source.channels)
    return [source.first + place[c] * each + copy for c in layout.arranged(value.channels) for copy in range(each)]


def _any_order(
    value: Value, location: dict[int, tuple[int, int]], plan: Plan
) -> tuple[list[int], list[tuple[int, int]]]:
    """The order in which the channels lie, each with the padding behind it."""
    seen: Counter[int] = Counter()
    ranked = []
    for column, channel in enumerate(value.channels):
        ranked.append((seen[channel], *location[channel], column))
        seen[channel] += 1
    columns, places = [], []
    for _, source, place, column in sorted(ranked):
        columns.append(column)
        places.append((source, place))
        order = plan.orders[source]
        while place + 1 < len(order) and order[place + 1] == EMPTY:
            place += 1
            columns.append(EMPTY)
            places.append((source, place))
    return columns, places


def _places(
    columns: Sequence[int], value: Value, location: dict[int, tuple[int, int]], plan: Plan
) -> list[tuple[int, int]]:
    """Where the channels of a value lie, in a given order."""
    places: list[tuple[int, int]] = []
    last = EMPTY
    for column in columns:
        if column != EMPTY:
            last = value.channels[column]
            places.append(location[last])
            continue
        source, place = places[-1][0], places[-1][1] + 1
        if plan.orders[source][place : place + 1] != (EMPTY,):
            raise _NoPadding(last)
        places.append((source, place))
    return places


def _read(places: Sequence[tuple[int, int]], columns: Sequence[int]) -> Read:
    pieces = _pieces(places)
    sources = len({piece.source for piece in pieces})
    if len(pieces) <= sources or (len(pieces) <= PIECES and len(places) >= SHORTEST * len(pieces)):
        return Read(pieces, None, tuple(columns))
    distinct = sorted(set(places))
    found = {place: index for index, place in enumerate(distinct)}
    return Read(_pieces(distinct), tuple(found[place] for place in places), tuple(columns))


def _pieces(places: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for source, place in places:
        last = pieces[-1] if pieces else None
        if last is not None and last.source == source and last.stop == place:
            pieces[-1] = Piece(source, last.start, place + 1)
        else:
            pieces.append(Piece(source, place, place + 1))
    return tuple(pieces)


def _is_costly(read: Read, *, is_ordered: bool) -> bool:
    return read.gather is not None or (is_ordered and len(read.pieces) > len({piece.source for piece in read.pieces}))


def _unpaid(plan: Plan) -> list[tuple[list[fx.Node], str]]:
    """The routers of each region that stays as it was, with the reason where there is anything to shuffle.

    A region has all tensors whose orders depend on one another. It is rewritten where it gets rid of more shuffles than
    it needs gathers, which cost as much.
    """
    origins = plan.origins
    regions = Classes(len(origins.sources))
    routers = {node: _sources(origins, origins.bases_of(node)) for node in origins.roles if origins.is_routed(node)}
    for sources in routers.values():
        regions.join(sources)
    for node, source in origins.made.items():
        for value in joined_with(node, origins):
            regions.join((origins.by_channel[source.first], *(origins.by_channel[c] for c in value.channels)))
    for read in plan.reads.values():
        regions.join(piece.source for piece in read.pieces)
    gain: dict[int, list[fx.Node]] = {}
    for node in origins.movers():
        gain.setdefault(regions[min(routers[node])], []).append(node)
    cost: dict[int, list[fx.Node]] = {}
    for node, source_index in plan.costly:
        cost.setdefault(regions[source_index], []).append(node)
    inside: dict[int, list[fx.Node]] = {}
    for node, sources in routers.items():
        if sources:
            inside.setdefault(regions[min(sources)], []).append(node)
    return [
        (members, _reason(gain.get(region, []), cost.get(region, []), origins))
        for region, members in inside.items()
        if len(gain.get(region, [])) <= len(cost.get(region, []))
    ]


def _reason(moved: list[fx.Node], costly: list[fx.Node], origins: Origins) -> str:
    if not moved:
        return ""
    why = origins.roles[costly[0]].why or f"{part_of(costly[0])} reads channels in two orders"
    parts = list(dict.fromkeys(part_of(node) for node in moved))
    names = ", ".join(parts[:3]) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
    return f"the shuffle in {names}: a gather would take its place, since {why}"


def _sources(origins: Origins, bases: Sequence[fx.Node]) -> set[int]:
    return {origins.by_channel[channel] for base in bases for channel in origins.values[base].channels}


def _as_shuffle(node: fx.Node, origins: Origins) -> tuple[fx.Node, int] | None:
    """What is shuffled in how many groups, where a router's result is a channel shuffle of planes."""
    bases, value = origins.bases_of(node), origins.values[node]
    if len(bases) != 1 or not isinstance(value, Value) or len(value.shape) != 4:
        return None
    channels = origins.values[bases[0]].channels
    count = len(channels)
    for groups in range(2, count):
        if count % groups == 0:
            dealt = tuple(channels[i * (count // groups) + j] for j in range(count // groups) for i in range(groups))
            if dealt == value.channels:
                return bases[0], groups
    return None
