"""Write the network that a plan describes: its graph, and its weights in the planned order."""

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from riffle.compression.channels.layout import EMPTY
from riffle.compression.channels.origins import Value
from riffle.compression.channels.plan import Piece, Plan
from riffle.compression.channels.roles import Kind, Slot
from riffle.compression.channels.tracing import tensor_at
from riffle.layers.shuffle import Gather, channel_shuffle

COUNTS = ("channels", "features")
"""What a layer calls the sizes of its weights: ``in_channels``, ``out_features``, ..."""


def emitted(plan: Plan) -> fx.Graph:
    """The graph of the rewritten network; the weights of the plan's module are permuted in place to fit."""
    writer = _Writer(plan)
    for node in plan.origins.graph.nodes:
        writer.write(node)
    writer.graph.owning_module = plan.origins.graph.module
    writer.graph.eliminate_dead_code()
    writer.graph.lint()
    return writer.graph


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.origins = plan, plan.origins
        self.module = plan.origins.graph.module
        self.graph = fx.Graph()
        self.written: dict[fx.Node, Any] = {}
        """What stands for a node's result: a node, or numbers where a size is known."""
        self.pieces: dict[Piece, fx.Node] = {}
        self.joined: dict[tuple[tuple[Piece, ...], tuple[int, ...] | None], fx.Node] = {}
        self.wanted: dict[int, set[Piece]] = {}
        for read in plan.reads.values():
            for piece in read.pieces:
                self.wanted.setdefault(piece.source, set()).add(piece)

    def write(self, node: fx.Node) -> None:
        """Append what stands for a node."""
        role = self.origins.roles[node]
        if role.kind is Kind.ROUTE:
            return
        if role.kind is Kind.SIZE:
            self.written[node] = self._size(node)
        elif node in self.origins.shuffles:
            base, groups = self.origins.shuffles[node]
            self.written[node] = self.graph.call_function(channel_shuffle, (self._argument(node, base), groups))
        elif node.target is operator.getitem and isinstance(self.written.get(node.args[0]), tuple):  # type: ignore[arg-type]
            self.written[node] = self.written[node.args[0]][node.args[1]]  # type: ignore[index]
        else:
            for slot in role.slots:
                self._reorder(node, slot)
            self.written[node] = self.graph.node_copy(node, lambda read: self._argument(node, read))

    def _argument(self, node: fx.Node, read: fx.Node) -> Any:
        found = self.plan.reads.get((node, read))
        if found is None:
            return self.written[read]
        key = (found.pieces, found.gather)
        if key not in self.joined:
            block = self.origins.values[read].block
            whole = self.joined.get((found.pieces, None)) or self._join(found.pieces, block)
            self.joined[found.pieces, None] = whole
            self.joined[key] = whole if found.gather is None else self._gather(whole, found.gather, block)
        return self.joined[key]

    def _join(self, pieces: Sequence[Piece], block: int) -> fx.Node:
        parts = [self._piece(piece, block) for piece in pieces]
        return parts[0] if len(parts) == 1 else self.graph.call_function(torch.cat, (parts,), {"dim": 1})

    def _gather(self, whole: fx.Node, places: Sequence[int], block: int) -> fx.Node:
        name = f"gather_{sum(gather is not None for _, gather in self.joined)}"
        device = next((parameter.device for parameter in self.module.parameters()), None)
        self.module.add_module(name, Gather(_blocks(places, block).to(device)))
        return self.graph.call_module(name, (whole,))

    def _piece(self, piece: Piece, block: int) -> fx.Node:
        whole: fx.Node = self.written[self.origins.sources[piece.source].node]
        if (piece.start, piece.stop) == (0, len(self.plan.orders[piece.source])):
            return whole
        if piece not in self.pieces:
            self._cut(piece.source, whole, block)
        return self.pieces[piece]

    def _cut(self, source: int, whole: fx.Node, block: int) -> None:
        """Cut a tensor into all pieces that are read of it: by one split where they do not overlap."""
        end = len(self.plan.orders[source])
        pieces = sorted(self.wanted[source] - {Piece(source, 0, end)}, key=lambda piece: (piece.start, piece.stop))
        spans = list(pairwise(sorted({0, end, *(p.start for p in pieces), *(p.stop for p in pieces)})))
        if len(pieces) > 1 and all((piece.start, piece.stop) in spans for piece in pieces):
            sizes = [(stop - start) * block for start, stop in spans]
            parts = self.graph.call_function(torch.split, (whole, sizes), {"dim": 1})
            for piece in pieces:
                index = spans.index((piece.start, piece.stop))
                self.pieces[piece] = self.graph.call_function(operator.getitem, (parts, index))
        else:
            for piece in pieces:
                length = (piece.stop - piece.start) * block
                self.pieces[piece] = self.graph.call_function(torch.narrow, (whole, 1, piece.start * block, length))

    def _size(self, node: fx.Node) -> Any:
        """A tensor's size, asked of any that it is made of: all but the number of channels is the same."""
        read = node.all_input_nodes[0]
        value = self.origins.values.get(read)
        if not isinstance(value, Value):
            return self.graph.node_copy(node, lambda n: self.written[n])
        source = self.written[self.origins.source_of(value.channels[0]).node]

        def side(dim: int) -> Any:
            return value.shape[1] if dim == 1 else self.graph.call_method("size", (source, dim))

        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        if isinstance(dim, int):
            return side(dim % len(value.shape))
        return tuple(side(dim) for dim in range(len(value.shape)))

    def _reorder(self, node: fx.Node, slot: Slot) -> None:
        """Permute a weight along the channels that it goes over."""
        source = self.origins.made[node]
        order: Sequence[int] = [
            EMPTY if channel == EMPTY else channel - source.first
            for channel in self.plan.orders[self.origins.sources.index(source)]
        ]
        block = 1
        if slot.reads:
            ((read, found),) = ((read, found) for (reader, read), found in self.plan.reads.items() if reader is node)
            order, block = found.columns, self.origins.values[read].block
        if list(order) == list(range(len(order))):
            return
        *parents, name = slot.path.split(".")
        owner = self.module.get_submodule(".".join(parents))
        weight = tensor_at(self.module, slot.path)
        permuted = _taken(weight.detach(), slot.dim, _blocks(order, block), slot.empty)
        if isinstance(weight, nn.Parameter):
            setattr(owner, name, nn.Parameter(permuted, weight.requires_grad))
        else:
            owner._buffers[name] = permuted
        _resize(owner, node, slot, before=weight.shape[slot.dim], after=permuted.shape[slot.dim])


def _blocks(order: Sequence[int], block: int) -> Tensor:
    """Each number as the elements of its block; those of padding are negative."""
    return (torch.tensor(order)[:, None] * block + torch.arange(block) * (torch.tensor(order) >= 0)[:, None]).flatten()


def _taken(weight: Tensor, dim: int, index: Tensor, empty: float) -> Tensor:
    index = index.to(weight.device)
    taken = weight.index_select(dim, index.clamp(min=0))
    is_empty = (index < 0).view(-1, *(1 for _ in range(weight.ndim - dim - 1)))
    return taken.masked_fill(is_empty, empty)


def _resize(layer: nn.Module, node: fx.Node, slot: Slot, *, before: int, after: int) -> None:
    """Let a padded layer know its size."""
    if before == after or node.op != "call_module":
        return
    sides = ("in_",) if slot.reads else ("out_", "num_")
    for name in (side + count for side in sides for count in (*COUNTS, "parameters")):
        if isinstance(getattr(layer, name, None), int):
            setattr(layer, name, after)
    if getattr(layer, "groups", 1) > 1:
        layer.groups = layer.in_channels = after  # type: ignore[assignment]  # depthwise, and never multiplied
