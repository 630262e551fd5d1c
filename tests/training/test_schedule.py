from itertools import pairwise

import pytest
import torch

from riffle.training.recipe import Recipe
from riffle.training.schedule import learning_rate, seed_step, side


def test_the_learning_rate_rises_then_falls_to_nothing():
    recipe = Recipe(epochs=10, lr=1.0, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 10) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 21)
    assert all(a < b for a, b in pairwise(rates[:21]))
    assert max(rates) == rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)  # half of the way down
    assert rates[99] < 0.001


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "constant"}, {0: 1.0, 5: 1.0, 99: 1.0}),
        ({"schedule": "linear"}, {0: 1.0, 50: 0.5, 75: 0.25, 99: 0.01}),
        ({"schedule": "step", "drop": 0.5, "drop_epochs": 3}, {0: 1.0, 29: 1.0, 30: 0.5, 60: 0.25, 99: 0.125}),
        ({"schedule": "step", "drop": 0.98, "drop_epochs": 1}, {0: 1.0, 10: 0.98, 99: 0.98**9}),
        ({"schedule": "linear", "warmup_epochs": 2}, {0: 1 / 21, 20: 1.0, 60: 0.5}),
        ({"schedule": "step", "drop": 0.5, "drop_epochs": 3, "warmup_epochs": 2}, {0: 1 / 21, 20: 1.0, 30: 0.5}),
    ],
)
def test_schedules(settings, expected):
    recipe = Recipe(**{"epochs": 10, "lr": 1.0, "warmup_epochs": 0, **settings})
    assert {step: learning_rate(recipe, step, 10) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("losses", "drops"),
    [
        ([], 0),
        ([3, 2, 1], 0),
        ([1, 2], 0),
        ([1, 2, 2], 1),  # two epochs without a new minimum
        ([1, 1, 1], 1),  # an equal one is none
        ([1, 2, 2, 2], 1),
        ([1, 2, 2, 2, 2], 2),
        ([1, 2, 2, 0.5, 2, 2], 2),
    ],
)
def test_a_plateau_lowers_the_rate(losses, drops):
    recipe = Recipe(epochs=100, lr=1.0, warmup_epochs=0, schedule="plateau", drop=0.1, drop_epochs=2)
    history = [{"loss": loss} for loss in losses]
    assert learning_rate(recipe, 10 * len(losses), 10, history) == pytest.approx(0.1**drops)


def test_pictures_grow():
    recipe = Recipe(epochs=9, size=224, grow_from=128)
    assert [side(recipe, epoch) for epoch in range(9)] == [128, 144, 160, 176, 192, 208, 224, 224, 224]
    assert side(Recipe(size=100), 0) == 100
    assert [side(Recipe(epochs=1, size=64, grow_from=32), 0)] == [32]
    assert max(side(Recipe(epochs=7, size=30, grow_from=17), epoch) for epoch in range(7)) == 30


def test_each_step_has_its_own_random_numbers():
    def drawn(*step: int) -> float:
        seed_step(*step)
        return torch.rand(()).item()

    assert drawn(0, 1, 2) == drawn(0, 1, 2)
    assert drawn(20_261_122, 1, 2) != drawn(20_261_123, 1, 2)
    steps = [
        (seed, epoch, step, process) for seed in range(3) for epoch in range(3) for step in (0, 1) for process in (0, 1)
    ]
    assert len({drawn(*step) for step in steps}) == len(steps)
