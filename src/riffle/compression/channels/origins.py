"""Which channels of which computed tensors each value of a network consists of.

A *source* is a tensor that some operation computes; its channels are numbered through the whole network. A *value* is
what an operation gives, as a list of such numbers: what moves channels makes another list and no source. To see what a
router does, it is run on labels: integers that name the picture, the channel and the place of each element. So any
way of writing a shuffle is understood, by its effect.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx

from riffle.compression.channels.roles import Kind, Role, role_of, tensors_read
from riffle.compression.channels.tracing import Traced

CHANNEL, PICTURE = 24, 48
"""Bits of a label below the channel's number, and below the picture's: 16 million places, and as many channels."""


@dataclass(frozen=True)
class Source:
    """A tensor (batch, channels * block, *places) that an operation computes."""

    node: fx.Node
    first: int
    """Number of its first channel."""
    count: int
    shape: tuple[int, ...]
    is_fixed: bool
    """Whether its channels have an order that cannot be chosen."""
    block: int = 1
    """Elements of dimension 1 that belong to one channel, after flattening."""

    @property
    def channels(self) -> range:
        """The numbers of its channels."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Value:
    """A tensor as a list of channels, in the order in which the network as it was written has them."""

    channels: tuple[int, ...]
    shape: tuple[int, ...]
    block: int = 1


@dataclass(frozen=True)
class Midway:
    """A tensor between two views, whose dimension 1 is not one channel after the other."""

    labels: Tensor
    bases: tuple[fx.Node, ...]
    """The values that it was made of."""


@dataclass
class Origins:
    """What a network's operations read and give, in channels."""

    graph: Traced
    as_written: set[fx.Node]
    """Routers that are not followed: they move channels in the rewritten network as well."""
    carriers: set[fx.Node]
    """Views that leave the channels where they are, and are done as they are written."""
    shuffles: dict[fx.Node, tuple[fx.Node, int]]
    """Shuffles that stay, by their last operation: what is shuffled, and in how many groups."""
    roles: dict[fx.Node, Role] = field(default_factory=dict)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    made: dict[fx.Node, Source] = field(default_factory=dict)
    by_channel: list[int] = field(default_factory=list)
    """The index of the source that each channel belongs to."""

    def source_of(self, channel: int) -> Source:
        """Where a channel is computed."""
        return self.sources[self.by_channel[channel]]

    def read_by(self, node: fx.Node) -> list[Value]:
        """The values that an operation reads."""
        if node in self.shuffles:
            return [self.values[self.shuffles[node][0]]]
        found = (self.values.get(read) for read in tensors_read(node, self.graph) if not self.is_weight(read, node))
        return [value for value in found if isinstance(value, Value)]

    def is_weight(self, read: fx.Node, node: fx.Node) -> bool:
        """Whether one operation has the other's result for a weight, which is permuted and not read."""
        return read.op == "get_attr" and any(slot.path == read.target for slot in self.roles[node].slots)

    def is_routed(self, node: fx.Node) -> bool:
        """Whether an operation only moves channels, and is not repeated in the rewritten network."""
        return self.roles[node].kind is Kind.ROUTE

    def movers(self) -> list[fx.Node]:
        """The routers whose result is not what they read, in a few pieces."""
        return [node for node in self.roles if self.is_routed(node) and self._moves(node)]

    def bases_of(self, node: fx.Node) -> tuple[fx.Node, ...]:
        """The values that a router's result is made of."""
        found: list[fx.Node] = []
        for read in _followed(node):
            value = self.values.get(read)
            if isinstance(value, Value):
                found.append(read)
            elif self.roles[read].kind is Kind.ROUTE:
                found.extend(self.bases_of(read))
        return tuple(dict.fromkeys(found))

    def _moves(self, node: fx.Node) -> bool:
        bases = [self.values[base].channels for base in self.bases_of(node)]
        place = {channel: index for index, channel in enumerate(channel for base in bases for channel in base)}
        results = self.values[node] if isinstance(self.values[node], tuple | list) else (self.values[node],)
        for value in results:
            if isinstance(value, Value):
                places = [place[channel] for channel in value.channels]
                pieces = 1 + sum(after != before + 1 for before, after in pairwise(places))
                if pieces > len(bases):
                    return True
        return False


def origins_of(graph: Traced, as_written: set[fx.Node], shuffles: dict[fx.Node, tuple[fx.Node, int]]) -> Origins:
    """Follow the channels through a network."""
    origins = Origins(graph, set(as_written), set(), shuffles)
    while True:
        try:
            for node in graph.nodes:
                _follow(node, origins)
            return origins
        except _Stuck as stuck:  # once for each operation at most
            keeps_places = stuck.node not in origins.carriers and _carries(stuck.node, origins) is not None
            (origins.carriers if keeps_places else origins.as_written).add(stuck.node)
            origins = Origins(graph, origins.as_written, origins.carriers - origins.as_written, shuffles)


class _Stuck(Exception):
    """An operation that computes reads the result of a router that is not a list of channels."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__(node.name)
        self.node = node


def _follow(node: fx.Node, origins: Origins) -> None:
    origins.roles[node] = role = _role(node, origins)
    if role.kind is Kind.ROUTE:
        origins.values[node] = _routed(node, origins)
        return
    for read in () if node in origins.shuffles else node.all_input_nodes:
        if isinstance(origins.values.get(read), Midway | tuple):
            raise _Stuck(read)
    result = origins.graph.results[node]
    if not isinstance(result, Tensor) or result.ndim < 2 or node in origins.graph.constants:
        return  # a size, a vector, or an order
    block = 1
    if node in origins.carriers:
        block = _carries(node, origins) or 1
    elif role.kind in (Kind.CARRY, Kind.PAIR):
        block = max(value.block for value in origins.read_by(node))
    is_fixed = role.kind in (Kind.FIXED, Kind.REDUCE)
    first, count = len(origins.by_channel), result.shape[1] // block
    source = Source(node, first, count, tuple(result.shape), is_fixed, block)
    origins.by_channel.extend([len(origins.sources)] * count)
    origins.sources.append(source)
    origins.made[node] = source
    origins.values[node] = Value(tuple(source.channels), source.shape, block)


def _role(node: fx.Node, origins: Origins) -> Role:
    if node in origins.shuffles or node in origins.as_written:
        return Role(Kind.FIXED, f"{node.name} is left as it was")
    if node in origins.carriers:
        return Role(Kind.CARRY)
    role = role_of(node, origins.graph)
    read = [origins.values.get(n) for n in tensors_read(node, origins.graph)]
    if role.kind is Kind.ROUTE:
        tuples = [value for n in node.all_input_nodes if isinstance(value := origins.values.get(n), tuple | list)]
        if not tuples and not any(isinstance(value, Value | Midway) for value in read):
            return Role(Kind.FIXED, "it moves no channels")
        return role
    if role.kind is Kind.CARRY and role.each > 1 and isinstance(read[0], Value) and read[0].block > 1:
        return Role(Kind.FIXED, f"{node.name} reads a flattened tensor")
    if role.kind is Kind.PAIR and all(isinstance(value, Value) for value in read):
        return _pair_role(node, role, [value for value in read if isinstance(value, Value)])
    return role


def _pair_role(node: fx.Node, role: Role, read: list[Value]) -> Role:
    """One channel joined with many is spread over them: it needs no order."""
    one, other = read
    if (len(one.channels), one.block) == (len(other.channels), other.block):
        return role
    if 1 in (len(one.channels), len(other.channels)) and one.block == other.block == 1:
        return role
    return Role(Kind.FIXED, f"{node.name} joins tensors of other shapes")


def _routed(node: fx.Node, origins: Origins) -> Any:
    """What a router makes of labels: lists of channels where it can be told."""
    try:
        labels = _run_on_labels(node, origins)
    except (RuntimeError, TypeError, IndexError, NotImplementedError):
        origins.as_written.add(node)
        raise _Stuck(node) from None
    return _as_values(labels, origins, origins.bases_of(node))


def _as_values(result: Any, origins: Origins, bases: tuple[fx.Node, ...]) -> Any:
    if isinstance(result, tuple | list):
        return tuple(_as_values(part, origins, bases) for part in result)
    return _listed(result, origins) or Midway(result, bases)


def _run_on_labels(node: fx.Node, origins: Origins) -> Any:
    def concrete(read: fx.Node) -> Any:
        value = origins.values.get(read)
        if value is not None:
            return _labels(value, origins)
        return origins.graph.constants.get(read, origins.graph.results[read])

    args = fx.node.map_arg(node.args, concrete)
    kwargs = fx.node.map_arg(node.kwargs, concrete)
    if node.op == "call_module":
        layer = origins.graph.layer(node)
        assert layer is not None
        return layer(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    target: Any = node.target
    return target(*args, **kwargs)


def _labels(value: Any, origins: Origins) -> Any:
    """A tensor that names each element of a value."""
    if isinstance(value, tuple | list):
        return tuple(_labels(part, origins) for part in value)
    if isinstance(value, Midway):
        return value.labels
    pictures, channels = value.shape[0], torch.tensor(value.channels)
    places = torch.Size(value.shape).numel() // max(pictures * len(channels), 1)
    labels = (torch.arange(pictures) << PICTURE)[:, None, None] + (channels << CHANNEL)[:, None]
    return (labels + torch.arange(places)).reshape(value.shape)


def _listed(labels: Any, origins: Origins) -> Value | None:
    """The list of channels that a tensor of labels is, each whole and at its place; None where it is not one."""
    if not isinstance(labels, Tensor) or labels.ndim < 2 or not labels.numel():
        return None
    channels = tuple((labels[0].reshape(labels.shape[1], -1)[:, 0] >> CHANNEL & (1 << CHANNEL) - 1).tolist())
    value = Value(channels, tuple(labels.shape))
    for index in {origins.by_channel[channel] for channel in channels}:
        source = origins.sources[index]
        if source.block > 1 or (source.shape[0], *source.shape[2:]) != (labels.shape[0], *labels.shape[2:]):
            return None
    return value if torch.equal(labels, _labels(value, origins)) else None


def _carries(node: fx.Node, origins: Origins) -> int | None:
    """The elements of dimension 1 for each channel, for a view that keeps the channels of its input in their order."""
    followed = list(_followed(node))
    read = origins.values.get(followed[0]) if len(followed) == 1 else None
    if not isinstance(read, Value) or read.block > 1:
        return None
    labels = _run_on_labels(node, origins)
    if not isinstance(labels, Tensor) or labels.ndim < 2 or labels.shape[0] != read.shape[0] or not read.channels:
        return None
    block, rest = divmod(labels.shape[1], len(read.channels))
    if rest or block < 1:
        return None
    names = labels.reshape(labels.shape[0], len(read.channels), -1) >> CHANNEL
    pictures = (torch.arange(labels.shape[0]) << PICTURE - CHANNEL)[:, None, None]
    expected = pictures + torch.tensor(read.channels)[:, None]
    return block if torch.equal(names, expected.expand_as(names)) else None


def _followed(node: fx.Node) -> Iterable[fx.Node]:
    return dict.fromkeys(node.all_input_nodes)
