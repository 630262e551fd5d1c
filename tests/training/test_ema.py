import pytest
import torch
from torch import nn

from riffle.training.ema import averaged


def test_the_average_follows_the_weights_and_the_statistics():
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = averaged(network, 0.5)
    expected = {"0.weight": 0.0, "1.running_mean": 0.0}
    for step in range(12):
        with torch.no_grad():
            network[0].weight.fill_(float(step))
            network[1].running_mean.fill_(10.0 * step)
            network[1].num_batches_tracked.fill_(step)
        average.update_parameters(network)
        keep = min(0.5, (1 + step) / (10 + step)) if step else 0.0  # the first step is taken over as it is
        for name, now in (("0.weight", step), ("1.running_mean", 10 * step)):
            expected[name] = keep * expected[name] + (1 - keep) * now
    found = average.module.state_dict()
    assert {name: found[name].item() for name in expected} == pytest.approx(expected)
    assert found["1.num_batches_tracked"].item() == 11
    assert network[0].weight.item() == 11
