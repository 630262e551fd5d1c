"""Files of any runtime and networks side by side, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from riffle.deployment.runtimes import in_one_line, is_exported, runtime_of
from riffle.deployment.session import Session
from riffle.hardware import environment
from riffle.profiling.latency import Latency, measure, measure_blocks, network_call
from riffle.training.progress import Reporter
from riffle.verbs.find import find_network
from riffle.verbs.footprint import footprint
from riffle.verbs.forms import size_of


@dataclass(frozen=True, slots=True)
class Measured:
    """A line of the table."""

    source: str
    runtime: str
    precision: str
    pixels: int
    """The pictures' side."""
    latency: Latency
    ratio: float
    """Its median to that of the first."""
    size: int
    """Bytes of the file with all its parts, or of the network's weights."""
    load: float
    """Milliseconds from the path to the first answer."""
    memory: int | None
    """Bytes of memory that it takes, at its peak."""


def bench(
    sources: Sequence[str],
    *,
    threads: int = 1,
    rounds: int = 50,
    size: int | None = None,
    cold: bool = False,
    reporter: Reporter | None = None,
) -> list[Measured]:
    """Time files and networks in turn, one picture at a time, and what each takes to load.

    Args:
        sources: exported files, and networks as :func:`riffle.verbs.find.find_network` takes them.
        threads: computing threads of each.
        rounds: times that each is measured.
        size: side of the pictures for networks; their own when left out. A file has its own.
        cold: time single calls in turn, each after all the others had the cache; otherwise blocks of ten calls.
        reporter: shows a bar.

    Raises:
        ValueError: there is no such source, a file is made for another size, or there are no rounds.
    """
    if not sources or threads < 1 or rounds < 1:
        raise ValueError("give at least one file or network, one thread and one round")
    opened = {source: _open(source, threads, size) for source in dict.fromkeys(sources)}
    footprints = {}
    with (reporter or Reporter(quiet=True)).bar("loading", len(opened)) as bar:
        for source in bar.over(opened):
            footprints[source] = footprint(source, threads=threads, size=size)
    timed = (measure if cold else measure_blocks)(
        {source: one.call for source, one in opened.items()}, rounds=rounds, threads=threads
    )
    first = timed[sources[0]].median
    return [
        Measured(
            source,
            one.runtime,
            one.precision,
            one.pixels,
            timed[source],
            timed[source].median / first,
            one.size,
            footprints[source].load,
            footprints[source].memory,
        )
        for source, one in opened.items()
    ]


def rows(measured: Sequence[Measured], *, cold: bool) -> list[dict[str, object]]:
    """The lines of the CSV, each with the hardware and the versions."""
    facts = environment()
    return [{**row_of(one, cold=cold), **facts} for one in measured]


def row_of(one: Measured, *, cold: bool) -> dict[str, object]:
    """What was measured of one, with the units in the names."""
    return {
        "source": one.source,
        "runtime": one.runtime,
        "precision": one.precision,
        "pixels": one.pixels,
        "timing": "cold" if cold else "hot",
        "threads": one.latency.threads,
        "rounds": one.latency.rounds,
        "median_ms": round(one.latency.median, 4),
        "lower_quartile_ms": round(one.latency.lower, 4),
        "upper_quartile_ms": round(one.latency.upper, 4),
        "ratio_to_first": round(one.ratio, 4),
        "bytes": one.size,
        "load_ms": round(one.load, 1),
        "memory_bytes": one.memory,
    }


def side_of(network: nn.Module, size: int | None) -> int:
    """The side of the pictures that a network is measured with."""
    return size or int(getattr(network, "size", 224))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source, ready to be timed."""

    runtime: str
    precision: str
    pixels: int
    size: int
    call: Callable[[], object]


def _open(source: str, threads: int, size: int | None) -> _Opened:
    if not is_exported(source):
        network = find_network(source)
        side = side_of(network, size)
        call = network_call(network, size=side)
        try:
            call()
        except RuntimeError as error:
            raise ValueError(f"{source} takes no pictures of {side} pixels: {in_one_line(error)}") from error
        bytes_ = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        return _Opened("torch", "float32", side, bytes_, call)
    session = Session(source, threads=threads)
    side = session.preprocessing.size
    if size not in (None, side):
        raise ValueError(f"{source} takes pictures of {side} pixels, not of {size}")
    call = session.bound(np.zeros((1, side, side, 3), np.uint8))
    return _Opened(runtime_of(source).title, session.precision, side, size_of(source), call)
