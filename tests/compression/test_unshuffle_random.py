"""Random networks of routers, carriers, mixers, pairs and fixed consumers: unshuffling never changes an answer."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shuffling import by_index, by_stack, by_views, channel_shuffle
from torch import Tensor, nn

from random_networks import randomize
from riffle.compression import unshuffle

TOLERANCE = 1e-9
SHUFFLES = (by_views, by_index, by_stack, channel_shuffle)
CARRIERS = {
    "norm": nn.BatchNorm2d,
    "relu": lambda channels: nn.ReLU(inplace=True),
    "hardswish": lambda channels: nn.Hardswish(),
    "prelu": nn.PReLU,
    "pool": lambda channels: nn.AvgPool2d(3, 1, 1),
    "depthwise": lambda channels: nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
    "twofold": lambda channels: nn.Conv2d(channels, 2 * channels, 3, padding=1, groups=channels),
}


@dataclass(frozen=True)
class Step:
    """What is done with earlier values, and what it is done by."""

    kind: str
    inputs: tuple[int, ...]
    number: int = 0


class Network(nn.Module):
    """Runs its steps one after the other; each adds a value to those that the next ones choose from."""

    def __init__(self, steps: list[Step], outputs: list[int], widths: list[int]) -> None:
        super().__init__()
        self.steps, self.outputs = steps, outputs
        self.layers = nn.ModuleDict({"stem": nn.Conv2d(3, widths[0], 1)})
        for index, step in enumerate(steps):
            width = widths[step.inputs[0]]
            if step.kind in CARRIERS:
                self.layers[str(index)] = CARRIERS[step.kind](width)
            elif step.kind in ("conv", "grouped"):
                self.layers[str(index)] = nn.Conv2d(width, step.number, 1, groups=2 if step.kind == "grouped" else 1)
            elif step.kind == "gate":
                self.layers[str(index)] = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        values = [self.layers["stem"](x)]
        for index, step in enumerate(self.steps):
            read = [values[number] for number in step.inputs]
            values.append(self.run(index, step, read))
        return tuple(values[number] for number in self.outputs)

    def run(self, index: int, step: Step, read: list[Tensor]) -> Tensor:
        x, number = read[0], step.number
        match step.kind:
            case "shuffle":
                return SHUFFLES[number % 4](x, 2 + number // 4)
            case "first" | "second":
                return x.chunk(2, 1)[step.kind == "second"]
            case "slice":
                return x[:, number:]
            case "even":
                return x[:, number::2]
            case "cat":
                return torch.cat(read, 1)
            case "add":
                return read[0] + read[1]
            case "gate":
                return x * torch.sigmoid(self.layers[str(index)](F.adaptive_avg_pool2d(x, 1)))
            case "softmax":
                return F.softmax(x, 1)
        return self.layers[str(index)](x.clone() if step.kind == "relu" else x)


@st.composite
def networks(draw) -> Network:
    widths = [draw(st.sampled_from((6, 8, 12)))]
    steps: list[Step] = []
    routers = ("shuffle", "first", "second", "slice", "even", "cat")
    kinds = st.sampled_from(
        (*routers * 2, *CARRIERS, "conv", "conv", "conv", "grouped", "add", "add", "gate", "softmax")
    )
    for _ in range(draw(st.integers(4, 16))):
        kind, chosen = draw(kinds), draw(st.integers(0, len(widths) - 1))
        # Mostly the newest value, so that networks are deep.
        chosen = chosen if draw(st.booleans()) else len(widths) - 1
        width, inputs, number = widths[chosen], (chosen,), 0
        if kind == "shuffle":
            groups = [g for g in (2, 3, 4) if width % g == 0]
            if not groups:
                continue
            number = draw(st.integers(0, 3)) + 4 * (draw(st.sampled_from(groups)) - 2)
        elif kind in ("first", "second", "slice", "even"):
            if width < 4:
                continue
            number = draw(st.integers(0, 1)) if kind == "even" else draw(st.integers(1, width - 2))
            width = {"first": -(-width // 2), "second": width // 2, "slice": width - number}.get(
                kind, len(range(number, width, 2))
            )
        elif kind in ("cat", "add"):
            fits = [i for i, other in enumerate(widths) if kind == "cat" or other == width]
            inputs = (chosen, draw(st.sampled_from(fits)))
            width = widths[inputs[0]] + widths[inputs[1]] if kind == "cat" else width
        elif kind == "conv":
            number = width = draw(st.sampled_from((4, 6, 8, 9, 12)))
        elif kind == "grouped":
            if width % 2:
                continue
            number = width = draw(st.sampled_from((4, 8)))
        elif kind == "twofold":
            width *= 2
        if width > 48:
            continue
        steps.append(Step(kind, inputs, number))
        widths.append(width)
    outputs = draw(st.lists(st.integers(0, len(widths) - 1), min_size=0, max_size=1))
    return Network(steps, [len(widths) - 1, *outputs], widths)


def assert_unchanged(network: Network, multiple: int) -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rewritten = unshuffle(randomize(network), x, multiple=multiple)
    with torch.no_grad():
        for ours, theirs in zip(rewritten(x), network(x), strict=True):
            change = (theirs[0] - theirs[1]).abs().max()
            assert (ours - theirs).abs().max() <= max(TOLERANCE * change, 1e-14 * theirs.abs().max())


def every(count: int):
    return settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


@every(50)
@given(networks(), st.sampled_from((1, 8)))
def test_an_answer_never_changes(network, multiple):
    assert_unchanged(network, multiple)


@pytest.mark.slow
@every(500)
@given(networks(), st.sampled_from((1, 8, 16)))
def test_an_answer_never_changes_in_many_networks(network, multiple):
    assert_unchanged(network, multiple)
