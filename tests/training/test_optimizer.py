import pytest
import torch
from torch import nn

import riffle
from riffle.training.optimizer import SCALE, optimizer_for
from riffle.training.recipe import Recipe
from riffle.training.transfer import freeze


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return riffle.create("shufflenet_v2_x0_5", num_classes=3)


def table(network: nn.Module, **settings: object) -> dict[int, tuple[float, float]]:
    """Scale and weight decay of every parameter that learns."""
    optimizer = optimizer_for(network, Recipe(weight_decay=0.1, **settings))
    return {id(p): (g[SCALE], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_matrices_and_filters_decay_norms_and_biases_do_not(network):
    found = table(network)
    assert {name for name, p in network.named_parameters() if found[id(p)][1] == 0} == {
        name for name, p in network.named_parameters() if p.ndim == 1
    }
    spared = table(network, decay_depthwise=False)
    filters = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels]
    assert len(filters) == 19  # 16 units, of which three have one in each branch
    assert sorted(map(id, filters)) == sorted(key for key in found if spared[key] != found[key])


def test_earlier_stages_learn_slower(network):
    found = table(network, layer_decay=0.5)
    by_part = {
        name: {found[id(p)][0] for p in network.get_submodule(name).parameters()}
        for name in ("stem", "stages.0", "stages.1", "stages.2", "neck", "classifier")
    }
    expected = {"stem": 1 / 16, "stages.0": 1 / 8, "stages.1": 1 / 4, "stages.2": 1 / 2, "neck": 1, "classifier": 1}
    assert by_part == {name: {scale} for name, scale in expected.items()}
    with pytest.raises(ValueError, match=r"layer_decay=0.5 needs a network with stages"):
        optimizer_for(nn.Sequential(nn.Linear(2, 2)), Recipe(layer_decay=0.5))


def test_what_is_frozen_is_not_there(network):
    freeze(network, "head")
    assert set(table(network)) == {id(p) for p in network.classifier.parameters()}
    freeze(network, "all")


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW), ("rmsprop", torch.optim.RMSprop)]
)
def test_each_optimizer_takes_a_step(name, kind):
    layer = nn.Linear(4, 2)
    optimizer = optimizer_for(layer, Recipe(optimizer=name, lr=0.1))
    assert isinstance(optimizer, kind)
    before = layer.weight.detach().clone()
    layer(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    assert (layer.weight < before).all()
