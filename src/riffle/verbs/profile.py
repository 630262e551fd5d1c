"""Networks examined: what each costs, how long it takes here, and how near that is to what the machine can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from riffle.pages.profile import Section, write_profiles
from riffle.profiling.cost import Profile, profile
from riffle.profiling.guidelines import judge
from riffle.profiling.latency import Latency, measure
from riffle.profiling.roofline import Roof, measure_roof
from riffle.profiling.timing import Timing, time_operations
from riffle.verbs.find import find_network


@dataclass(frozen=True, slots=True)
class Examined:
    """One network's profile, with measured times where they were asked for."""

    name: str
    profile: Profile
    timing: Timing | None = None
    roof: Roof | None = None


def examine(
    source: str | nn.Module,
    *,
    size: int | None = None,
    batch: int = 1,
    time: bool = False,
    threads: int = 1,
    rounds: int = 20,
) -> Examined:
    """Count one network, and measure it with ``time``.

    Args:
        source: a network, or what names one (see :func:`riffle.verbs.find.find_network`).
        size: the pictures' side in pixels; the network's own when left out, or 224.
        batch: pictures that are run together.
        time: measure each operation and the machine's roof.
        threads: computing threads to measure with.
        rounds: times that each is measured.

    Raises:
        ValueError: there is no such network, or it does not take such pictures.
    """
    network = find_network(source, on_meta=not time) if isinstance(source, str) else source
    inputs = example_inputs(network, size, batch)
    name = source if isinstance(source, str) else type(network).__name__
    counted = profile(network, inputs=inputs)
    if not time:
        return Examined(name, counted)
    given = tuple(real_like(x) for x in inputs)
    timing = time_operations(network, given, rounds=rounds, threads=threads)
    return Examined(name, counted, timing, measure_roof(threads=threads))


def write_html(path: Path, networks: Sequence[Examined], comparison: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the networks' page: tables, verdicts of the guidelines, every operation as a chart, the roofline.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    sections = [Section(n.name, n.profile, judge(n.profile, n.timing), n.timing, n.roof) for n in networks]
    write_profiles(path, sections, comparison)


def compare(
    sources: Sequence[str],
    *,
    size: int | None = None,
    batch: int = 1,
    time: bool = False,
    threads: int = 1,
    rounds: int = 20,
) -> list[dict[str, Any]]:
    """Networks side by side, one row each; with ``time`` all are measured in turn, and compared with the first."""
    networks = {source: find_network(source, on_meta=not time) for source in sources}
    inputs = {source: example_inputs(network, size, batch) for source, network in networks.items()}
    counts = {source: profile(network, inputs=inputs[source]) for source, network in networks.items()}
    times: dict[str, Latency] = {}
    if time:
        times = measure(
            {source: _call(network, inputs[source]) for source, network in networks.items()},
            rounds=rounds,
            threads=threads,
        )
    rows = []
    for source, counted in counts.items():
        row: dict[str, Any] = {
            "network": source,
            "size": counted.size,
            "params": counted.params,
            "macs": counted.macs,
            "memory_access": counted.memory_access,
            "peak_memory": counted.peak_memory,
            "intensity": counted.intensity,
        }
        if time:
            row["ms"] = times[source].median
            row["gmacs_per_s"] = counted.macs / times[source].median / 1e6
            row["times_the_first"] = times[source].median / times[sources[0]].median
        rows.append(row)
    return rows


def example_inputs(network: nn.Module, size: int | None, batch: int) -> tuple[Tensor, ...]:
    """What ``forward`` takes: the network tells itself, or it is taken for one of pictures with three channels."""
    own = getattr(network, "example_inputs", None)
    if own is not None:
        return tuple(own(size, batch=batch))
    weight = next(network.parameters(), torch.empty(0))
    return (torch.zeros(batch, 3, size or 224, size or 224, device=weight.device, dtype=weight.dtype),)


def real_like(x: Tensor) -> Tensor:
    """Numbers to measure with: pictures in the memory order that suits a CPU, and token ids as they are."""
    if not x.is_floating_point():
        return x
    y = torch.randn(x.shape, dtype=x.dtype)
    return y.contiguous(memory_format=torch.channels_last) if y.ndim == 4 else y


def _call(network: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    given = tuple(real_like(x) for x in inputs)
    return lambda: network(*given)
