"""HybridSN: what the picture networks promise, for windows of a scene; and Keras' own arithmetic beside it."""

import json

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from write_state_keys import SNAPSHOT, keys_of

from random_networks import randomize
from riffle import registry, zoo
from riffle.card import card_of
from riffle.models.hybridsn import HybridSN
from riffle.training.transfer import head_of, replace_head

SCENES = [
    # name, bands, classes
    ("hybridsn_indian_pines", 30, 16),
    ("hybridsn_pavia_university", 15, 9),
    ("hybridsn_salinas", 15, 16),
]

# Parameters of each layer as Keras prints them for Indian Pines (the authors' notebook).
INDIAN_PINES = [512, 5_776, 13_856, 331_840, 4_735_232, 32_896, 2_064]

# Parameters at the other windows of the paper's Table IV.
OTHER_WINDOWS = {
    19: (2_369_664, 2_092_281, 2_093_184),
    21: (3_156_096, 2_878_713, 2_879_616),
    23: (4_073_600, 3_796_217, 3_797_120),
}


@pytest.fixture(scope="module", params=SCENES, ids=[name for name, *_ in SCENES])
def scene(request):
    torch.manual_seed(0)
    name, bands, classes = request.param
    return zoo.create(name), bands, classes


def test_the_parts_and_the_scenes_own_classes(scene):
    network, bands, classes = scene
    network.eval()
    assert [name for name, _ in network.named_children()] == ["stem", "stages", "neck", "pool", "classifier"]
    x = torch.randn(1, 1, bands, 25, 25)
    with torch.no_grad():
        scores = network(x)
        maps = network.feature_maps(x)
        assert scores.shape == (1, classes)
        assert [tuple(m.shape[1:]) for m in maps] == [(32 * (bands - 12), 19, 19), (64, 17, 17)]
        assert torch.equal(network.classifier(network.pool(network.forward_features(x))), scores)
    assert network.example_inputs(batch=3)[0].shape == (3, 1, bands, 25, 25)
    assert network.size == 25
    with pytest.raises(ValueError, match="windows of 25 pixels; got 19"):
        network.example_inputs(19)


def test_another_number_of_classes(scene):
    network, bands, _ = scene
    other = zoo.create(card_of(network).name, num_classes=5)
    replaced = replace_head(network, 5)
    for made in (other, replaced):
        made.eval()
        assert len(head_of(made).weight) == 5
        assert made(torch.randn(2, 1, bands, 25, 25)).shape == (2, 5)


def test_every_parameter_gets_a_gradient(scene):
    network, bands, _ = scene
    torch.manual_seed(0)
    network.train()
    scores = network(torch.randn(4, 1, bands, 25, 25))
    (scores * torch.randn_like(scores)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    network.zero_grad(set_to_none=True)


def test_names_in_the_weights_stay(scene):
    network, *_ = scene
    snapshot = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert keys_of(network) == snapshot[card_of(network).name]


def test_export_with_any_batch(scene):
    network, bands, _ = scene
    network.eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, network.example_inputs(batch=2), dynamic_shapes=(batch,))
    x = torch.randn(3, 1, bands, 25, 25)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


def test_layers_have_the_papers_parameters():
    network = zoo.create("hybridsn_indian_pines")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.Conv2d | nn.Linear)]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == INDIAN_PINES
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.4, 0.4]


@pytest.mark.parametrize(("size", "params"), OTHER_WINDOWS.items())
def test_other_windows(size, params):
    for (name, *_), expected in zip(SCENES, params, strict=True):
        row = zoo.count(name, size)
        assert (row["params"], row["size"]) == (expected, size)


def test_the_smallest_and_what_is_too_small():
    network = HybridSN(13, num_classes=2, size=9, dropout=0.0)
    assert network(torch.randn(3, 1, 13, 9, 9)).shape == (3, 2)
    other = registry.build("hybridsn_salinas", bands=20, size=11)
    assert other(torch.randn(1, 1, 20, 11, 11)).shape == (1, 16)
    with pytest.raises(ValueError, match="at least 13 bands; got 12"):
        HybridSN(12, num_classes=2)
    with pytest.raises(ValueError, match="at least 9 pixels; got 8"):
        HybridSN(13, num_classes=2, size=8)


def test_it_has_no_in_channels():
    with pytest.raises(ValueError, match="hybridsn_indian_pines takes no in_channels"):
        zoo.create("hybridsn_indian_pines", in_channels=30)


def keras_weights(network: HybridSN) -> list[np.ndarray]:
    """Random weights in Keras' order and shapes: kernels (height, width, spectrum, in, out), dense (in, out)."""
    rng = np.random.default_rng(0)
    depth, side = network.bands - 12, network.size - 8
    shapes = [
        (3, 3, 7, 1, 8),
        (3, 3, 5, 8, 16),
        (3, 3, 3, 16, 32),
        (3, 3, depth * 32, 64),
        (side * side * 64, 256),
        (256, 128),
        (128, len(head_of(network).weight)),
    ]
    weights = []
    for shape in shapes:
        weights.append(rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])))
        weights.append(rng.normal(size=shape[-1]) * 0.1)
    return weights


def keras_forward(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """The notebook's network on (batch, height, width, spectrum, 1), channels last throughout."""
    left = list(weights)

    def convolve(x: np.ndarray) -> np.ndarray:
        kernel, bias = left.pop(0), left.pop(0)
        axes = tuple(range(1, x.ndim - 1))
        windows = sliding_window_view(x, kernel.shape[:-2], axis=axes)  # (batch, places…, in, kernel…)
        windows = np.moveaxis(windows, x.ndim - 1, -1)
        return np.maximum(np.tensordot(windows, kernel, axes=x.ndim - 1) + bias, 0)

    for _ in range(3):
        x = convolve(x)
    batch, height, width, depth, maps = x.shape
    x = convolve(x.reshape(batch, height, width, depth * maps)).reshape(batch, -1)
    while left:
        x = x @ left.pop(0) + left.pop(0)
        x = np.maximum(x, 0) if left else x
    return x


def adopt_from_keras(network: HybridSN, weights: list[np.ndarray]) -> None:
    """Turn the kernels, and take two flattened axes in another order: maps before depth, maps before places."""
    depth, side = network.bands - 12, network.size - 8
    kernels, biases = [torch.from_numpy(w) for w in weights[::2]], [torch.from_numpy(w) for w in weights[1::2]]
    turned: list[Tensor] = [kernel.permute(4, 3, 2, 0, 1) for kernel in kernels[:3]]
    turned.append(kernels[3].unflatten(2, (depth, 32)).permute(4, 3, 2, 0, 1).flatten(1, 2))
    turned.append(kernels[4].unflatten(0, (side, side, 64)).permute(3, 2, 0, 1).flatten(1))
    turned += [kernel.T for kernel in kernels[5:]]
    own = list(network.parameters())
    with torch.no_grad():
        for mine, theirs in zip(own, [t for pair in zip(turned, biases, strict=True) for t in pair], strict=True):
            assert mine.shape == theirs.shape
            mine.copy_(theirs)


@pytest.mark.parametrize(("name", "bands", "classes"), SCENES)
def test_equals_keras_arithmetic(name, bands, classes):
    network = registry.build(name, size=15).double().eval()
    weights = keras_weights(network)
    adopt_from_keras(network, weights)
    x = np.random.default_rng(1).normal(size=(2, 15, 15, bands, 1))
    theirs = keras_forward(weights, x)
    with torch.no_grad():
        ours = network(torch.from_numpy(x).permute(0, 4, 3, 1, 2)).numpy()
    assert theirs.shape == (2, classes)
    change = np.abs(theirs[0] - theirs[1]).max()
    assert change > 1e-2 * np.abs(theirs).max()
    assert np.abs(ours - theirs).max() < 1e-9 * change


def test_examples_of_a_batch_do_not_meet():
    network = randomize(registry.build("hybridsn_salinas", size=9))
    x = torch.randn(2, 1, 15, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        both, alone = network(x), network(x[:1])
    assert (both[:1] - alone).abs().max() < 1e-9 * (both[0] - both[1]).abs().max()
