from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from riffle.card import card_of
from riffle.training.calibration import BINS, bins_of, calibration_error, error_by_chance
from riffle.training.metrics import Scores
from riffle.training.temperature import at_temperature, calibrate, cross_fitted, fit_temperature
from riffle.zoo import create
from tiny import tiny


def two_classes(*judged: tuple[float, bool]) -> Scores:
    """Each picture has the confidence and is judged right or not."""
    sure = np.array([confidence for confidence, _ in judged], np.float32)
    labels = np.array([0 if right else 1 for _, right in judged])
    return Scores(np.stack([sure, 1 - sure], axis=1), labels, ("a", "b"))


def generated(temperature: float, *, count: int = 20_000, classes: int = 5, seed: int = 0) -> Scores:
    """Of a network that is calibrated once its scores are divided by this."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes))
    truth = torch.tensor(logits).softmax(1)
    labels = (rng.random((count, 1)) > truth.numpy().cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    shares = torch.tensor(logits * temperature).softmax(1).float().numpy()
    return Scores(shares, labels, tuple("abcdefgh"[:classes]))


# Bins are 1/15 = 0.067 wide: 0.62 lies in (0.600, 0.667], 0.9 in (0.867, 0.933], 1 in (0.933, 1].
@pytest.mark.parametrize(
    ("judged", "percent"),
    [
        ([(1.0, True), (1.0, True)], 0.0),
        ([(1.0, False)], 100.0),
        ([(0.9, True), (0.9, False)], 40.0),
        ([(0.9, True), (0.88, False)], 39.0),  # one bin: 0.89 sure, half right
        ([(0.9, True), (0.9, False), (0.62, True), (1.0, True)], 29.5),  # (2 * 0.4 + 0.38 + 0) / 4
        ([(0.9, True), (0.62, False)], 36.0),  # two bins: (0.1 + 0.62) / 2
    ],
)
def test_calibration_error_by_hand(judged, percent):
    assert calibration_error(two_classes(*judged)) == pytest.approx(percent, abs=1e-4)


def test_bins_by_hand():
    low, middle, high = bins_of(two_classes((0.9, True), (1.0, True), (0.88, False), (0.62, True)))
    assert (low.low, low.high, low.count, low.accuracy) == (9 / BINS, 10 / BINS, 1, 1.0)
    assert (middle.low, middle.count, middle.right, middle.accuracy) == (13 / BINS, 2, 1, 0.5)
    assert middle.confidence == pytest.approx(0.89)
    assert (high.low, high.high, high.count) == (14 / BINS, 1.0, 1)


def test_chance_makes_an_error_that_more_pictures_make_small():
    certain = two_classes(*[(1.0, True)] * 50)
    assert error_by_chance(certain) == 0.0
    for count in (100, 1600):
        # The mean distance of a normal variable from its mean is sqrt(2 / pi) of its standard deviation.
        expected = 100 * np.sqrt(2 / np.pi) * np.sqrt(0.9 * 0.1 / count)
        assert error_by_chance(two_classes(*[(0.9, True)] * count)) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_fitting_finds_the_temperature_that_scores_were_made_with(temperature, seed):
    scores = generated(temperature, seed=seed)
    assert fit_temperature(scores) == pytest.approx(temperature, rel=0.05)
    mended = cross_fitted(scores)
    assert calibration_error(mended) < 1.5 * error_by_chance(mended) < 2
    assert calibration_error(scores) > 5 or temperature == 1.0


def test_a_temperature_is_the_softmax_of_divided_scores_and_keeps_every_label():
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
    scores = Scores(logits.softmax(1).numpy(), np.where(np.arange(50) % 2, logits.argmax(1), 0), tuple("abcd"))
    for temperature in (0.5, 3.0):
        divided = at_temperature(scores, temperature)
        assert np.allclose(divided.probabilities, (logits / temperature).softmax(1).numpy(), atol=1e-6)
        assert np.array_equal(divided.predicted, scores.predicted)
        assert fit_temperature(divided) == pytest.approx(fit_temperature(scores) / temperature, rel=1e-3)


def test_probabilities_that_are_zero_still_have_a_temperature():
    scores = two_classes(*[(1.0, True)] * 9, (1.0, False))
    temperature = fit_temperature(scores)
    assert at_temperature(scores, temperature).probabilities[0, 0] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("rights", [[True] * 20, [False] * 20, [True] * 8 + [False] * 12])
def test_no_temperature_without_a_mistake_or_below_chance(rights):
    assert fit_temperature(two_classes(*[(0.8, right) for right in rights])) is None


def test_each_fifth_is_judged_by_the_others():
    one_mistake = two_classes(*[(0.8, True)] * 19, (0.8, False))
    assert fit_temperature(one_mistake) is not None
    assert cross_fitted(one_mistake) is None  # the four fifths without it know of no mistake
    scores = generated(2.0, count=500)
    mended = cross_fitted(scores)
    others = replace(scores, labels=(scores.labels + 1) % 5)
    changed = np.unique(
        np.round(
            np.log(mended.probabilities[:, 0] / mended.probabilities[:, 1])
            / np.log(scores.probabilities[:, 0] / scores.probabilities[:, 1]),
            3,
        )
    )
    assert len(changed) == 5, "as many temperatures as parts"
    assert cross_fitted(others) is None


@pytest.mark.parametrize("name", ["tiny", "lenet", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_a_network_with_its_temperature_has_divided_scores(name):
    network = tiny() if name == "tiny" else create(name, num_classes=3, **({"size": 64} if name == "lenet" else {}))
    network.double().eval()
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    copy = calibrate(network, 2.5, torch.zeros(1, 3, 64, 64))
    with torch.no_grad():
        assert torch.allclose(copy(x) * 2.5, network(x), rtol=1e-12, atol=1e-12)
    assert card_of(copy).temperature == 2.5
    assert card_of(calibrate(copy, 2.0, x)).temperature == 5.0
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_temperature_is_refused_where_it_would_not_divide_the_scores():
    with pytest.raises(ValueError, match="are not its last linear layer's"):
        calibrate(nn.Sequential(tiny(), nn.Softmax(1)), 2.0, torch.zeros(1, 3, 16, 16))
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a number above 0"):
            calibrate(tiny(), temperature, torch.zeros(1, 3, 16, 16))
