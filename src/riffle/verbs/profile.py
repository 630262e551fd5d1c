"""Networks examined: what each costs, how long it takes here, and how they compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from riffle.pages.profile import Section, write_profiles
from riffle.profiling.cost import Profile, profile
from riffle.profiling.guidelines import judge
from riffle.profiling.latency import Latency, measure
from riffle.profiling.roofline import Roof
from riffle.profiling.timing import Timing, time_operations
from riffle.verbs.find import find_network


@dataclass(frozen=True, slots=True)
class Examined:
    """One network with its profile, and with measured times where they were asked for."""

    name: str
    network: nn.Module
    inputs: tuple[Tensor, ...]
    """What it was counted with: shapes, no numbers to measure with."""
    profile: Profile
    timing: Timing | None = None


def examine(source: str | nn.Module, *, size: int | None = None, batch: int = 1, on_meta: bool = True) -> Examined:
    """Count one network.

    Args:
        source: a network, or what names one (see :func:`riffle.verbs.find.find_network`).
        size: the pictures' side in pixels; the network's own when left out, or 224.
        batch: pictures that are run together.
        on_meta: make a named network without weights, to be counted and not to be measured.

    Raises:
        ValueError: there is no such network, or it does not take such pictures.
    """
    network = find_network(source, on_meta=on_meta) if isinstance(source, str) else source
    inputs = example_inputs(network, size, batch)
    name = source if isinstance(source, str) else type(network).__name__
    return Examined(name, network, inputs, profile(network, inputs=inputs))


def with_times(examined: Examined, *, threads: int = 1, rounds: int = 20) -> Examined:
    """The same with every operation measured.

    Args:
        examined: a network with weights.
        threads: computing threads to measure with.
        rounds: times that each operation is measured.
    """
    given = real_like(examined.inputs)
    return replace(examined, timing=time_operations(examined.network, given, rounds=rounds, threads=threads))


def write_html(
    path: Path,
    networks: Sequence[Examined],
    *,
    comparison: Sequence[Mapping[str, Any]] = (),
    roof: Roof | None = None,
) -> None:
    """Write the networks' page: tables, verdicts of the guidelines, every operation as a chart, the roofline.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    sections = [Section(n.name, n.profile, judge(n.profile, n.timing), n.timing) for n in networks]
    write_profiles(path, sections, comparison=comparison, roof=roof)


def compare(
    networks: Sequence[Examined], *, time: bool = False, threads: int = 1, rounds: int = 20
) -> list[dict[str, Any]]:
    """Networks side by side, one row each; with ``time`` all are measured in turn, and compared with the first."""
    times: dict[str, Latency] = {}
    if time:
        calls = {one.name: eager_call(one.network, one.inputs) for one in networks}
        times = measure(calls, rounds=rounds, threads=threads)
    rows = []
    for one in networks:
        counted = one.profile
        row: dict[str, Any] = {
            "network": one.name,
            "size": counted.size,
            "params": counted.params,
            "macs": counted.macs,
            "memory_access": counted.memory_access,
            "peak_memory": counted.peak_memory,
            "intensity": counted.intensity,
        }
        if time:
            row["ms"] = times[one.name].median
            row["gmacs_per_s"] = counted.macs / times[one.name].median / 1e6
            row["times_the_first"] = times[one.name].median / times[networks[0].name].median
        rows.append(row)
    return rows


def example_inputs(network: nn.Module, size: int | None, batch: int) -> tuple[Tensor, ...]:
    """What ``forward`` takes: the network tells itself, or it is taken for one of pictures with three channels."""
    own = getattr(network, "example_inputs", None)
    if own is not None:
        return tuple(own(size, batch=batch))
    weight = next(network.parameters(), torch.empty(0))
    return (torch.zeros(batch, 3, size or 224, size or 224, device=weight.device, dtype=weight.dtype),)


def eager_call(network: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], object]:
    """A call that runs a network as it is, on numbers of these inputs' shapes."""
    given = real_like(inputs)
    return lambda: network(*given)


def real_like(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Numbers to measure with: pictures in the memory order that suits a CPU, and token ids as they are."""
    return tuple(_real_like(x) for x in inputs)


def _real_like(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        return x
    y = torch.randn(x.shape, dtype=x.dtype)
    return y.contiguous(memory_format=torch.channels_last) if y.ndim == 4 else y
