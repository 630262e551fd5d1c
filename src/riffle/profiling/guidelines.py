"""What the four guidelines of ShuffleNet V2 say about a network: where it breaks them, what that costs, what to do.

Ma, Zhang, Zheng, Sun: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design,
https://arxiv.org/abs/1807.11164, section 2:

    G1  equal channel widths need the least memory access
    G2  grouped convolutions need more of it for the same multiply-accumulates
    G3  fragments (many branches, many small kernels) keep the machine waiting
    G4  elementwise operations take time although they hardly compute

A network's own time decides what matters: :class:`Finding` tells the share of it that following the advice saves at
most. Where nothing was measured, that is the share of memory access instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import NamedTuple

from riffle.profiling.cost import Profile
from riffle.profiling.formulas import Kind
from riffle.profiling.operations import Operation, Window
from riffle.profiling.timing import Timing

WIDE = 1.15
"""Memory access over its lower bound (or over a dense convolution's) from which G1 and G2 call: widths of 1 : 3."""
SMALL = 3
"""Multiple of the time to start any operation below which G3 calls one small."""
MANY_BRANCHES = 3
"""Kernels that read the same value from which G3 calls; two is any residual or ShuffleNet unit with a stride."""
WORTH = 0.01
"""Share of the whole below which a finding is not worth a line."""
FUSED_BY_RUNTIMES = frozenset({"relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_"})
"""Activations that every runtime that Riffle ships to computes inside the convolution before them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a network breaks a guideline, in one place or several."""

    guideline: str
    """``G1`` to ``G4``."""
    what: str
    """The operations that are concerned, in the plural."""
    where: tuple[str, ...]
    """Their modules, that which takes most first."""
    count: int
    """How many operations they are."""
    extra_bytes: int
    """Bytes read and written beyond what following the guideline needs."""
    share: float
    """Part of the network's time (or, unmeasured, of its memory access) that they take, from 0 to 1."""
    saving: float
    """The part that following the advice saves at most."""
    advice: str


class Breach(NamedTuple):
    """One operation that breaks a guideline."""

    guideline: str
    what: str
    advice: str
    place: int
    """In the trace."""
    extra: float
    """Bytes beyond what following the guideline needs."""
    kept: float = 0.0
    """The part of its cost that would stay."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guidelines say about a network, the most costly first; nothing for one that follows them all."""

    findings: tuple[Finding, ...]
    profile: Profile
    timing: Timing | None

    @property
    def whole(self) -> str:
        """What shares are of: ``time`` where it was measured, else ``memory access``."""
        return "memory access" if self.timing is None else "time"

    @property
    def is_clean(self) -> bool:
        """Whether the network follows all four guidelines."""
        return not self.findings

    def __str__(self) -> str:
        lines = (
            f"{found.guideline}  at most {100 * found.saving:.1f} % of the {self.whole}: "
            f"{found.count} {found.what}; {found.advice}"
            for found in self.findings
        )
        return "\n".join(lines) or "follows all four guidelines"


def judge(counted: Profile, timing: Timing | None = None) -> Verdict:
    """The verdict of the four guidelines on a network.

    Args:
        counted: its profile.
        timing: its measured times on the same input; without, shares are those of memory access.
    """
    network = _Network(counted, timing)
    alike: dict[tuple[str, str, str], list[Breach]] = {}
    for check in (_widths, _groups, _branches, _small_kernels, _elementwise):
        for breach in check(network):
            alike.setdefault(breach[:3], []).append(breach)
    found = (_finding(network, breaches) for breaches in alike.values())
    worth = [finding for finding in found if finding.saving >= WORTH]
    return Verdict(tuple(sorted(worth, key=lambda finding: -finding.saving)), counted, timing)


def _finding(network: "_Network", breaches: Sequence[Breach]) -> Finding:
    shares = network.shares
    worst_first = sorted(breaches, key=lambda breach: -shares[breach.place])
    return Finding(
        guideline=breaches[0].guideline,
        what=breaches[0].what,
        where=tuple(dict.fromkeys(network.operations[breach.place].module for breach in worst_first)),
        count=len(breaches),
        extra_bytes=round(sum(breach.extra for breach in breaches)),
        share=sum(shares[breach.place] for breach in breaches),
        saving=sum(shares[breach.place] * (1 - breach.kept) for breach in breaches),
        advice=breaches[0].advice,
    )


class _Network:
    """Operations with the share of the whole that each takes, and who reads what."""

    def __init__(self, counted: Profile, timing: Timing | None) -> None:
        self.operations = counted.operations
        costs = [operation.bytes for operation in counted.operations] if timing is None else timing.spread(counted)
        total = sum(costs) or 1
        self.shares = [cost / total for cost in costs]
        self.start = 0.0 if timing is None else timing.start / total
        """Share of the whole that it takes to start any operation; unknown, and 0, without measured times."""
        self.readers: dict[int, list[int]] = {}
        for index, operation in enumerate(self.operations):
            if operation.kind is not Kind.VIEW:
                for source in operation.sources:
                    self.readers.setdefault(source, []).append(index)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """What guidelines 1 and 2 look at."""

    index: int
    pixels: int
    """Of the output, over all pictures."""
    c1: int
    c2: int
    window: Window
    item: int
    """Bytes of an element."""


def _convolutions(network: _Network) -> Iterator[_Convolution]:
    for index, operation in enumerate(network.operations):
        if operation.window is not None and operation.inputs and len(operation.output) == 4:
            pixels = operation.output[0] * prod(operation.output[2:])
            c1, c2 = operation.inputs[0][1], operation.output[1]
            yield _Convolution(index, pixels, c1, c2, operation.window, _item(operation))


def _widths(network: _Network) -> Iterator[Breach]:
    """G1: memory access h w (c1 + c2) + c1 c2 of a 1x1 against its least, 2 sqrt(h w B) + B / (h w), B = h w c1 c2."""
    for conv in _convolutions(network):
        if prod(conv.window.kernel) == conv.window.groups == conv.window.stride == 1:
            weights = conv.c1 * conv.c2
            access = conv.pixels * (conv.c1 + conv.c2) + weights
            least = 2 * conv.pixels * sqrt(weights) + weights
            if access > WIDE * least:
                ratio = f"{conv.c2 / conv.c1:.2g} times" if conv.c2 > conv.c1 else f"1/{conv.c1 / conv.c2:.2g} of"
                what = f"1x1 convolutions to {ratio} the channels"
                advice = "equal widths compute as much with the least memory access"
                yield Breach("G1", what, advice, conv.index, (access - least) * conv.item, least / access)


def _groups(network: _Network) -> Iterator[Breach]:
    """G2: memory access of a grouped convolution against the dense one of as many MACs, 1 / sqrt(g) as wide."""
    for conv in _convolutions(network):
        groups = conv.window.groups
        if 1 < groups < min(conv.c1, conv.c2):
            weights = prod(conv.window.kernel) * conv.c1 * conv.c2 / groups
            maps = conv.pixels * (conv.c1 + conv.c2)
            access, dense = maps + weights, maps / sqrt(groups) + weights
            if access > WIDE * dense:
                what = f"convolutions of {groups} groups"
                advice = f"dense ones {1 / sqrt(groups):.2f} times as wide compute as much"
                yield Breach("G2", what, advice, conv.index, (access - dense) * conv.item, dense / access)


def _branches(network: _Network) -> Iterator[Breach]:
    """G3: values that many kernels read, each of which starts a branch; the costliest one would stay."""
    heavy = (Kind.CONVOLUTION, Kind.LINEAR, Kind.POOLING, Kind.NORM)
    for fork, readers in network.readers.items():
        starts = [i for i in readers if network.operations[i].kind in heavy]
        if len(starts) >= MANY_BRANCHES:
            is_norm = any(network.operations[i].kind is Kind.NORM for i in starts)
            what = f"branches beside others, {len(starts)} of which start from one value"
            advice = "riffle.fuse makes them one convolution" if is_norm else "one wider kernel computes as much"
            read = prod(network.operations[fork].output) * _item(network.operations[fork])
            for index in sorted(starts, key=lambda i: network.shares[i])[:-1]:
                yield Breach("G3", what, advice, index, read)


def _small_kernels(network: _Network) -> Iterator[Breach]:
    """G3: kernels so small that starting them is a good part of their time."""
    what = f"operations that take less than {SMALL} times as long as starting any does"
    advice = "fuse, run more pictures together, or export: a runtime starts fewer"
    for index, operation in enumerate(network.operations):
        share = network.shares[index]
        if operation.kind is not Kind.VIEW and share < SMALL * network.start:
            yield Breach("G3", what, advice, index, 0, 1 - min(1.0, network.start / share) if share else 1.0)


def _elementwise(network: _Network) -> Iterator[Breach]:
    """G4: operations that hardly compute."""
    for index, operation in enumerate(network.operations):
        sort = _sort(network, index)
        if sort is not None:
            yield Breach("G4", *sort, index, operation.bytes)


def _sort(network: _Network, index: int) -> tuple[str, str] | None:
    """What an operation's likes are called and what to do about them; None for those that compute."""
    operation = network.operations[index]
    before = {network.operations[source].kind for source in operation.sources}
    computed = {Kind.CONVOLUTION, Kind.LINEAR} & before
    name = operation.name.strip("_")
    match operation.kind:
        case Kind.NORM if "batch_norm" in name:
            if computed:
                return "batch norms behind convolutions", "riffle.fuse folds them into the weights"
            return "batch norms with no convolution before them", "behind one, riffle.fuse folds them into its weights"
        case Kind.NORM:
            return "layer and group norms", "a batch norm is part of the weights after training"
        case Kind.MOVEMENT:
            return _movement(network, index)
        case Kind.REDUCTION:
            return f"{name} reductions", "gates and attention in fewer blocks"
        case Kind.ELEMENTWISE if len(operation.inputs) > 1:
            sizes = {prod(shape) for shape in operation.inputs}
            if name == "mul" and len(sizes) > 1:
                return "products with gates", "gates matter most in the late, small stages"
            if name == "add" and before == {Kind.NORM}:
                return "additions of branches", "riffle.fuse makes branches without activation one convolution"
            return f"{name} operations of two values", "halves that are concatenated need none (ShuffleNet V2)"
        case Kind.ELEMENTWISE if name in ("add", "sub", "mul", "div"):
            return "operations with a number", "the weights of a neighbour can hold it"
        case Kind.ELEMENTWISE if operation.name not in FUSED_BY_RUNTIMES:
            return f"{name} activations", "ReLU is computed inside the convolution by every runtime"
        case Kind.ELEMENTWISE if not computed and Kind.NORM not in before:
            return f"{name} activations behind no convolution", "behind one, every runtime computes it inside"
    return None


def _movement(network: _Network, index: int) -> tuple[str, str]:
    """The same for what moves data."""
    operations = network.operations
    if is_shuffle(operations, index):
        before = index
        while operations[before].kind is not Kind.CONVOLUTION and operations[before].sources:
            before = operations[before].sources[0]
        window = operations[before].window
        if window is not None and window.groups > 1 and not window.is_depthwise:
            return "channel shuffles behind grouped convolutions", "dense convolutions need none (ShuffleNet V2)"
        return "channel shuffles", "riffle.unshuffle removes them"
    if operations[index].name == "cat":
        return "concatenations", "riffle.unshuffle halves those of a ShuffleNet V2"
    if operations[index].name == "constant_pad_nd":
        return "paddings of their own", "a convolution pads all sides alike for nothing"
    return "copies", "one memory order from end to end needs none"


def is_shuffle(operations: Sequence[Operation], index: int) -> bool:
    """Whether an operation deals the channels of groups out in turn: a transposed copy whose two axes then become one.

    A copy of (batch, c / g, g, ...) that is looked at as (batch, c, ...) directly after.
    """
    operation = operations[index]
    if "channel_shuffle" in operation.name:
        return True
    if not operation.is_swapped or index + 1 == len(operations):
        return False
    after, shape = operations[index + 1], operation.output
    return after.kind is Kind.VIEW and len(shape) >= 4 and after.output[1] == shape[1] * shape[2]


def _item(operation: Operation) -> int:
    """Bytes of one element."""
    return operation.bytes // operation.memory_access if operation.memory_access else 0
