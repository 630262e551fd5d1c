"""Measured time, with calls that take a known time."""

from itertools import count

import numpy as np
import pytest
import torch

from riffle import zoo
from riffle.profiling import latency


class Clock:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, milliseconds):
        """A call that takes these times, one after the other."""
        times = iter(milliseconds)

        def take() -> None:
            self.now += next(times) / 1e3

        return take


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(latency.time, "perf_counter", clock)
    return clock


def test_calls_take_turns_after_their_warm_up():
    order = []
    latency.measure({name: lambda name=name: order.append(name) for name in "AB"}, rounds=3, warmup=2)
    assert "".join(order) == "AABB" + "ABABAB"


def test_median_and_quartiles_of_the_counted_rounds(clock):
    measured = latency.measure(
        {"ramp": clock.call([900, 900, 5, 1, 3, 2, 4]), "steady": clock.call([900, 900, *[7] * 5])}, rounds=5, warmup=2
    )
    ramp, steady = measured["ramp"], measured["steady"]
    assert (ramp.lower, ramp.median, ramp.upper) == pytest.approx((2, 3, 4))
    assert (steady.lower, steady.median, steady.upper) == pytest.approx((7, 7, 7))
    assert ramp.rounds == steady.rounds == 5


def test_quartiles_are_in_order(clock):
    times = np.random.default_rng(0).lognormal(size=55)
    measured = latency.measure({"x": clock.call(times)})["x"]
    assert measured.rounds == 50
    assert measured.lower < measured.median < measured.upper
    assert measured.median == pytest.approx(np.median(times[5:]))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_pinned_stated_and_given_back(two_threads, threads):
    seen = []
    measured = latency.measure({"x": lambda: seen.append(torch.get_num_threads())}, rounds=2, warmup=1, threads=threads)
    assert seen == [threads] * 3
    assert measured["x"].threads == threads
    assert torch.get_num_threads() == 2


def test_threads_are_given_back_after_an_error(two_threads):
    def fail():
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        latency.measure({"x": fail})
    assert torch.get_num_threads() == 2


def test_no_gradients_are_recorded():
    modes = []
    latency.measure({"x": lambda: modes.append(torch.is_inference_mode_enabled())}, rounds=1, warmup=0)
    assert modes == [True]


def test_a_networks_call_is_in_evaluation():
    network = zoo.create("shufflenet_v2_x0_5", num_classes=2).train()
    calls = count()
    network.stem.register_forward_pre_hook(lambda module, inputs: (next(calls), inputs[0])[1])
    statistics = network.stem[0].norm.running_mean.clone()
    scores = latency.network_call(network, size=64, batch=3)()
    assert scores.shape == (3, 2)
    assert next(calls) == 1
    assert torch.equal(network.stem[0].norm.running_mean, statistics)


def test_blocks_take_turns_and_their_first_call_is_not_counted(clock):
    order = []
    latency.measure_blocks({name: lambda name=name: order.append(name) for name in "AB"}, rounds=2, block=3, warmup=1)
    assert "".join(order) == "AB" + "AAAABBBB" * 2
    slow_first = [50, 1, 2, 3] * 3
    measured = latency.measure_blocks({"x": clock.call([9, *slow_first])}, rounds=3, block=3, warmup=1)["x"]
    assert (measured.lower, measured.median, measured.upper) == pytest.approx((2, 2, 2))
    assert measured.rounds == 3
