"""Measured time: warm-up, interleaved rounds, median and quartiles, threads pinned and stated."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one call in milliseconds."""

    median: float
    lower: float
    """First quartile."""
    upper: float
    """Third quartile."""
    rounds: int
    threads: int


def measure(
    calls: Mapping[Name, Callable[[], object]], *, rounds: int = 50, warmup: int = 5, threads: int = 1
) -> dict[Name, Latency]:
    """Time several calls in turn, A B A B, so that a change of the machine's speed meets all of them alike.

    Args:
        calls: what to time, by name; each is called without arguments.
        rounds: times that each is counted.
        warmup: calls of each before counting.
        threads: torch's computing threads meanwhile; sessions of other runtimes bring their own.
    """
    return _in_turn(calls, time_of, rounds=rounds, warmup=warmup, threads=threads)


def measure_blocks(
    calls: Mapping[Name, Callable[[], object]], *, rounds: int = 50, block: int = 10, warmup: int = 5, threads: int = 1
) -> dict[Name, Latency]:
    """Time blocks of calls in turn, AAA BBB AAA BBB: each with its weights and buffers in the cache, as in a stream.

    What :func:`measure` times is the first call after others had the cache. The first call of a block is one of those,
    and comes before the counted ones; a round's time is their mean.

    Args:
        calls: what to time, by name; each is called without arguments.
        rounds: blocks that are counted.
        block: calls in a block.
        warmup: calls of each before counting.
        threads: torch's computing threads meanwhile; sessions of other runtimes bring their own.
    """

    def time_in_block(call: Callable[[], object]) -> float:
        def many() -> None:
            for _ in range(block):
                call()

        call()
        return time_of(many) / block

    return _in_turn(calls, time_in_block, rounds=rounds, warmup=warmup, threads=threads)


def _in_turn(
    calls: Mapping[Name, Callable[[], object]],
    timed: Callable[[Callable[[], object]], float],
    *,
    rounds: int,
    warmup: int,
    threads: int,
) -> dict[Name, Latency]:
    """Warm up, then time every call in every round."""
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    with pinned(threads), torch.inference_mode():
        for call in calls.values():
            for _ in range(warmup):
                call()
        for _ in range(rounds):
            for name, call in calls.items():
                seconds[name].append(timed(call))
    return {name: summary(times, threads) for name, times in seconds.items()}


def time_of(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def network_call(
    network: nn.Module, *, size: int, batch: int = 1, in_channels: int = 3, device: str = "cpu"
) -> Callable[[], object]:
    """A call that runs a network once on random input, in evaluation, until its result is there.

    The pictures have their channels last in memory, which suits convolutions on processors and graphics cards alike.
    """
    network = deepcopy(network).to(device).eval()
    x = torch.randn(batch, in_channels, size, size, device=device).contiguous(memory_format=torch.channels_last)
    if device == "cpu":
        return lambda: network(x)

    def call() -> None:
        network(x)
        torch.cuda.synchronize()  # a graphics card answers before it is done

    return call


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """That many computing threads in torch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summary(seconds: list[float], threads: int) -> Latency:
    """Median and quartiles of measured seconds."""
    lower, median, upper = np.percentile(np.asarray(seconds) * 1e3, (25, 50, 75))
    return Latency(float(median), float(lower), float(upper), len(seconds), threads)
