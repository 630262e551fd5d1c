import numpy as np
import pytest

from riffle.training.find_rate import steepest


def test_the_steepest_fall_is_found():
    rates = np.geomspace(1e-6, 1.0, 100)
    fall = 1 / (1 + (rates / 1e-3) ** 2)  # steepest, for a factor of the rate, at 1e-3
    blown = np.where(rates > 0.1, 10 * rates, 0)
    noise = np.random.default_rng(0).normal(0, 0.02, 100)
    assert 3e-4 < steepest(rates, list(fall + blown)) < 5e-3
    assert 3e-4 < steepest(rates, list(fall + blown + noise)) < 5e-3


def test_a_loss_that_only_rises_has_no_rate():
    with pytest.raises(ValueError, match="falls at no learning rate"):
        steepest(np.geomspace(1e-6, 1, 50), list(np.linspace(1, 5, 50)))
