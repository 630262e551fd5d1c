"""The Vision Transformer: sizes it was not made for, where its patches lie, and weights in other orders."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from peers import load
from random_networks import randomize, relative_difference
from riffle import zoo
from riffle.models.vit import VisionTransformer
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9
SMALL = (3, 32, 32)  # two by two patches


@pytest.fixture(scope="module")
def network():
    return randomize(VisionTransformer(16, 2, size=48, num_classes=5))


def small_peer(library: str) -> nn.Module:
    """The library's own class at width 16 for pictures of 32 pixels."""
    if library == "timm":
        return load("timm.models").VisionTransformer(img_size=32, embed_dim=16, depth=12, num_heads=2)
    return load("torchvision.models").VisionTransformer(32, 16, 12, 2, 16, 64)


@pytest.fixture(scope="module", params=["timm", "torchvision"])
def peer(request):
    return randomize(small_peer(request.param))


def test_a_state_dict_of_a_peer_pairs_as_it_is(peer):
    """torchvision lists the positions behind the projection, timm in front of it."""
    ours = VisionTransformer(16, 2, size=32).double().eval()
    adopt(ours, peer.state_dict())
    assert relative_difference(peer, ours, SMALL) < TOLERANCE


def test_two_swapped_layers_do_not_go_unnoticed():
    network, swapped = (randomize(VisionTransformer(16, 2, size=32)) for _ in range(2))
    stage = swapped.stages[1]
    stage[0], stage[1] = stage[1], stage[0]
    assert relative_difference(network, swapped, SMALL) > 1e-3


@pytest.mark.parametrize(("height", "width"), [(80, 80), (32, 32), (32, 112)])
def test_positions_at_another_size_equal_timms(height, width):
    theirs = load("timm.models").VisionTransformer(
        img_size=48, embed_dim=16, depth=12, num_heads=2, num_classes=5, dynamic_img_size=True
    )
    theirs, ours = randomize(theirs), VisionTransformer(16, 2, size=48, num_classes=5).double().eval()
    adopt(ours, theirs)
    assert relative_difference(theirs, ours, (3, height, width)) < 1e-5  # timm interpolates in float32


def test_a_picture_is_padded_to_whole_patches(network):
    x = torch.randn(2, 3, 65, 97, dtype=torch.float64)
    padded = F.pad(x, (0, 112 - 97, 0, 80 - 65))
    with torch.no_grad():
        assert torch.equal(network(x), network(padded))
        assert network.feature_maps(x)[0].shape == (2, 16, 5, 7)
        last_column = x.clone()
        last_column[..., -1] += 1
        assert (network(last_column) - network(x)).abs().max() > 1e-3  # nothing is cut off


def test_export_at_another_size_with_any_batch(network):
    x = torch.randn(3, 3, 65, 97, dtype=torch.float64)
    program = torch.export.export(network, (x[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


def test_maps_show_the_patches_where_they_lie():
    network = randomize(VisionTransformer(16, 2, size=48))
    network.stages = nn.Sequential(nn.Identity())
    with torch.no_grad():
        network.stem.position_embed.zero_()
        x = torch.randn(2, 3, 48, 80, dtype=torch.float64)
        assert torch.equal(network.feature_maps(x)[0], network.stem.projection(x))


def test_the_class_token_speaks(network):
    x = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        features = network.forward_features(x)
        assert features.shape == (2, 1 + 9, 16)
        assert torch.equal(network(x), network.classifier(features[:, 0]))


def test_later_layers_are_left_out_more_often():
    network = VisionTransformer(16, 2, size=32, drop_path=0.1, dropout=0.2)
    rates = [layer.drop_path.probability for stage in network.stages for layer in stage]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert dropouts == [0.2] * (1 + 12 * 2)  # tokens, attention and both linear layers: the last two share one


def test_fresh_weights_are_small_and_biases_are_zero():
    torch.manual_seed(0)
    network = VisionTransformer(64, 2)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif "norm" in name or name.startswith("neck"):
            assert (parameter == 1).all()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.3 if parameter.numel() < 100 else 0.05)


def test_a_size_decides_the_positions():
    with torch.device("meta"):
        assert zoo.create("vit_ti_16", size=100).stem.position_embed.shape == (1, 1 + 7 * 7, 192)
        assert zoo.create("vit_ti_16").stem.position_embed.shape == (1, 1 + 14 * 14, 192)
