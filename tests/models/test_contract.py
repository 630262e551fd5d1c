"""What every registered network promises, whatever its paper."""

import json
import re
from copy import deepcopy

import pytest
import torch
from test_published_numbers import PUBLISHED
from torch import nn
from write_state_keys import SNAPSHOT, keys_of

from random_networks import randomize
from riffle import registry, zoo
from riffle.card import card_of
from riffle.models.vit import PATCH
from riffle.training.transfer import head_of, replace_head
from riffle.weights.adopt import modules_as_run

KEYS = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
PARTS = ["stem", "stages", "neck", "pool", "classifier"]
SMALL = 64  # pixels that any picture network takes; the layers of some depend on it
EXPORTED = ("shufflenet_v2_x0_25", "mobilenet_v3_small_minimalistic", "vit_ti_16", "cbam_resnet18")
"""Kinds of which one is exported in the default suite: each takes seconds; the other kinds are slow tests."""
PICTURES = [name for name in zoo.names() if not name.startswith(("hybridsn", "transformer"))]


def smallest_of_each_kind() -> list[str]:
    """The variant with the fewest tensors, then parameters, of every constructor: what real numbers are put through."""
    kinds: dict[str, list[str]] = {}
    for name in PICTURES:
        kinds.setdefault(registry.constructor_of(name).__qualname__, []).append(name)
    return [min(names, key=lambda name: (tensors_of(name), params_of(name), name)) for names in kinds.values()]


def tensors_of(name: str) -> int:
    return int(KEYS.get(name, "0").split()[0])


def params_of(name: str) -> int:
    return int(PUBLISHED.get(name.removesuffix("_tf"), {}).get("params") or 0)


def slow_where(names, condition):
    return [pytest.param(name, marks=pytest.mark.slow if condition(name) else ()) for name in names]


def is_twin(name: str) -> bool:
    """Whether a network has the layers of another one, and differs in its padding or its size alone."""
    return re.search(r"(_tf|_symmetric|_96|_128|_160|_192)$", name) is not None


def is_deep(name: str) -> bool:
    """Whether a network has so many layers that each run of it takes a second; shallower ones have its blocks."""
    return tensors_of(name) > 450


@pytest.fixture(scope="module", params=slow_where(PICTURES, lambda name: is_twin(name) or is_deep(name)))
def shapes(request):
    """Each network without numbers: shapes flow through it in no time."""
    with torch.device("meta"):
        return zoo.create(request.param, num_classes=10, in_channels=4, size=SMALL)


@pytest.fixture(scope="module", params=slow_where(smallest_of_each_kind(), lambda name: params_of(name) > 30_000_000))
def network(request):
    """One network of each kind with fresh weights."""
    torch.manual_seed(0)
    return zoo.create(request.param, num_classes=10, in_channels=4, size=SMALL)


def test_a_batch_of_one_and_odd_sizes(shapes):
    shapes.eval()
    with torch.no_grad():
        assert shapes(torch.empty(1, 4, 65, 97, device="meta")).shape == (1, 10)


def test_the_parts_in_their_order(shapes):
    assert [name for name, _ in shapes.named_children()] == PARTS
    assert isinstance(shapes.stages, nn.Sequential)
    assert len(head_of(shapes).weight) == 10


def test_layers_are_defined_in_the_order_in_which_they_run(shapes):
    """Weights of other implementations are adopted by that order."""
    with_tensors = [m for m in shapes.modules() if [*m.parameters(recurse=False), *m.buffers(recurse=False)]]
    as_run = modules_as_run(shapes, (torch.empty(2, 4, SMALL, SMALL, device="meta"),))
    assert [m for m in as_run if m in set(with_tensors)] == with_tensors


def test_feature_maps_are_what_the_stages_give(shapes):
    shapes.eval()
    x = torch.empty(2, 4, SMALL, SMALL, device="meta")
    with torch.no_grad():
        maps = shapes.feature_maps(x)
    assert len(maps) == len(shapes.stages)
    assert all(m.ndim == 4 for m in maps)
    sides = [m.shape[-1] for m in maps]
    assert sides == sorted(sides, reverse=True)
    with pytest.raises(ValueError, match="stages are 0 to"):
        shapes.feature_maps(x, stages=[len(shapes.stages)])


def test_its_name_and_arguments_are_on_its_card(shapes, request):
    card = card_of(shapes)
    assert card.name == request.node.callspec.params["shapes"]
    assert (card.arguments["num_classes"], card.arguments["in_channels"]) == (10, 4)


def test_names_in_the_weights_stay(shapes):
    """Saved networks are read by these names; `write_state_keys.py` writes the snapshot."""
    assert keys_of(shapes) == KEYS[card_of(shapes).name]


def test_the_parts_are_the_network(network):
    network.eval()
    x = torch.randn(2, 4, SMALL, SMALL)
    with torch.no_grad():
        features = network.forward_features(x)
        assert torch.equal(features, network.neck(network.stages(network.stem(x))))
        assert torch.equal(network.classifier(network.pool(features)), network(x))
        last = network.stages(network.stem(x))
        if last.ndim == 3:  # a Vision Transformer's stages hand tokens on, the class token first
            last = last[:, 1:].transpose(1, 2).reshape(2, -1, SMALL // PATCH, SMALL // PATCH)
        assert torch.equal(network.feature_maps(x)[-1], last)


def test_another_head_keeps_the_rest(network):
    other = replace_head(network, 7).eval()
    with torch.no_grad():
        assert other(torch.randn(2, 4, SMALL, SMALL)).shape == (2, 7)
        assert other(torch.randn(3, 4, 96, 71)).shape == (3, 7)
    assert keys_of(other) == keys_of(network)


def test_every_parameter_gets_a_gradient(network):
    torch.manual_seed(0)
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


@pytest.mark.parametrize(
    "network", slow_where(smallest_of_each_kind(), lambda name: name not in EXPORTED), indirect=True
)
def test_export_with_any_batch(network):
    torch.manual_seed(0)
    network.eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (torch.randn(2, 4, SMALL, SMALL),), dynamic_shapes=(batch,))
    x = torch.randn(3, 4, SMALL, SMALL)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


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
