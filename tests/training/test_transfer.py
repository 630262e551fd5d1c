import pytest
import torch
from torch import nn

from riffle.card import card_of
from riffle.training.transfer import freeze, head_of, replace_head, replace_input, set_training
from riffle.zoo import create


def learning(network: nn.Module) -> set[str]:
    return {
        name.split(".")[0] + name[6:8] * name.startswith("stages")
        for name, p in network.named_parameters()
        if p.requires_grad
    }


def test_a_new_head_leaves_everything_else():
    network = create("shufflenet_v2_x2_0_authors")  # its head sits behind dropout
    fresh = replace_head(network, 7)
    assert head_of(network).out_features == 1000
    assert head_of(fresh).out_features == 7
    assert card_of(fresh).arguments["num_classes"] == 7
    theirs = fresh.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in network.state_dict().items() if not k.startswith("classifier"))
    assert fresh(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_what_learns():
    network = create("shufflenet_v2_x0_5", num_classes=3)
    stages = {"stages.0", "stages.1", "stages.2"}
    freeze(network, "all")
    assert learning(network) == {"stem", "neck", "classifier"} | stages
    freeze(network, "last:2")
    assert learning(network) == {"stages.1", "stages.2", "neck", "classifier"}
    freeze(network, "head")
    assert learning(network) == {"classifier"}
    for word in ("last:4", "last:0", "last:x", "tail"):
        with pytest.raises(ValueError, match="transfer is all, head or last:K with K from 1 to 3"):
            freeze(network, word)
    with pytest.raises(ValueError, match="needs a network with stages"):
        freeze(nn.Sequential(nn.Linear(2, 2)), "head")


def test_frozen_norms_keep_their_statistics():
    network = create("shufflenet_v2_x0_5", num_classes=3)
    freeze(network, "last:1")
    set_training(network)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(torch.rand(4, 3, 64, 64))
    changed = {
        name.split(".")[0] + "." + name.split(".")[1]
        for name, b in network.named_buffers()
        if not torch.equal(b, before[name])
    }
    assert changed == {"stages.2", "neck.norm"}


@pytest.mark.parametrize("channels", [1, 4])
def test_other_input_channels_begin_with_the_mean(channels):
    torch.manual_seed(0)
    network = create("shufflenet_v2_x0_5", num_classes=3).eval()
    other = replace_input(network, channels).eval()
    grey = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        before, after = network(grey.expand(-1, 3, -1, -1)), other(grey.expand(-1, channels, -1, -1))
    assert torch.allclose(before, after, atol=1e-5)
    assert card_of(other).arguments["in_channels"] == channels
    assert card_of(other).preprocessing is None
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 3)  # a copy was changed
    with pytest.raises(ValueError, match="no first convolution"):
        replace_input(nn.Linear(2, 2), 1)
