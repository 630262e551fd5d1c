"""What every registered network promises, whatever its paper."""

import json
from copy import deepcopy

import pytest
import torch
from torch import nn
from write_state_keys import SNAPSHOT, keys_of

from random_networks import randomize
from riffle import zoo
from riffle.card import card_of

PARTS = ["stem", "stages", "neck", "pool", "classifier"]
ONE_OF_EACH = ["lenet", "shufflenet_v1_g3_x0_25", "shufflenet_v2_x0_5", "shufflenet_v2_x0_5_authors"]
SMALL = 64  # pixels that any of them takes; lenet's layers depend on it


@pytest.fixture(scope="module", params=zoo.names())
def network(request):
    """Each network with fresh weights, made once for all tests of this file."""
    torch.manual_seed(0)
    return zoo.create(request.param, num_classes=10, in_channels=4, size=SMALL)


def test_a_batch_of_one_and_odd_sizes(network):
    network.eval()
    with torch.no_grad():
        assert network(torch.randn(1, 4, 65, 97)).shape == (1, 10)
        assert network(torch.randn(3, 4, 96, 71)).shape == (3, 10)


def test_the_parts_in_their_order_are_the_network(network):
    network.eval()
    assert [name for name, _ in network.named_children()] == PARTS
    assert isinstance(network.stages, nn.Sequential)
    assert sum(isinstance(module, nn.Linear) for module in network.modules()) == 1
    x = torch.randn(2, 4, SMALL, SMALL)
    with torch.no_grad():
        features = network.neck(network.stages(network.stem(x)))
        assert features.ndim == 4
        assert torch.equal(features, network.forward_features(x))
        assert torch.equal(network.classifier(network.pool(features)), network(x))
        assert network.pool(features).ndim == 2


def test_every_parameter_gets_a_gradient(network):
    network.train()
    scores = network(torch.randn(4, 4, SMALL, SMALL))
    (scores * torch.randn_like(scores)).sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    network.zero_grad(set_to_none=True)
    assert without == []


def test_examples_of_a_batch_do_not_meet_in_evaluation(network):
    network = randomize(deepcopy(network))
    x = torch.randn(2, 4, SMALL, SMALL, dtype=torch.float64)
    with torch.no_grad():
        both, alone = network(x), network(x[:1])
    assert (both[:1] - alone).abs().max() < 1e-9 * (both[0] - both[1]).abs().max()


def test_its_name_and_arguments_are_on_its_card(network, request):
    card = card_of(network)
    assert card.name == request.node.callspec.params["network"]
    assert (card.arguments["num_classes"], card.arguments["in_channels"]) == (10, 4)


def test_names_in_the_weights_stay(network):
    """Saved networks are read by these names; `write_state_keys.py` writes the snapshot."""
    snapshot = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert keys_of(network) == snapshot[card_of(network).name]


def exports_with_any_batch(name: str) -> None:
    torch.manual_seed(0)
    network = zoo.create(name, num_classes=10, size=SMALL).eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (torch.randn(2, 3, SMALL, SMALL),), dynamic_shapes=(batch,))
    x = torch.randn(3, 3, SMALL, SMALL)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_export_with_any_batch(name):
    exports_with_any_batch(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in zoo.names() if name not in ONE_OF_EACH])
def test_export_with_any_batch_of_the_others(name):
    exports_with_any_batch(name)


def test_lenet_at_its_own_size_and_larger():
    network = zoo.create("lenet", num_classes=3).eval()
    with torch.no_grad():
        assert network.forward_features(torch.randn(1, 3, 128, 128)).shape == (1, 32, 1, 1)
        x = torch.randn(1, 3, 200, 144)
        features = network.forward_features(x)
        assert features.shape[2:] != (1, 1)
        torch.testing.assert_close(network(x), network.classifier(features.mean((2, 3))))
    with pytest.raises(ValueError, match="at least 64 pixels; got 63"):
        zoo.create("lenet", size=63)
