"""Weights of another implementation, paired in order."""

import pytest
import torch
from torch import nn

from riffle.weights.adopt import adopt


class Theirs(nn.Module):
    def __init__(self, *, bias: bool = True, eps: float = 1e-3) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4, eps=eps)
        self.fc = nn.Linear(4, 2, bias=bias)
        nn.init.normal_(self.bn.bias)
        self.bn.running_mean.normal_()


def ours() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_names_may_differ_and_epsilon_comes_along():
    network, theirs = ours(), Theirs()
    adopt(network, theirs)
    for mine, value in zip(network.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, value)
    assert network[1].eps == 1e-3
    theirs.fc.weight.data.zero_()
    assert network[3].weight.any()  # copied, not shared


def test_a_classifier_without_bias_gives_a_bias_of_zero():
    network = ours()
    network[3].bias.data.fill_(1)
    adopt(network, Theirs(bias=False))
    assert network[3].bias.tolist() == [0, 0]


def test_a_linear_layer_is_a_convolution_whose_kernel_covers_the_map():
    x = torch.randn(5, 3, 2, 4)
    convolution = nn.Conv2d(3, 7, (2, 4))
    linear = nn.Linear(3 * 2 * 4, 7)
    adopt(linear, convolution)
    torch.testing.assert_close(linear(x.flatten(1)), convolution(x).flatten(1))
    back = nn.Conv2d(3, 7, (2, 4))
    adopt(back, linear)
    assert torch.equal(back.weight, convolution.weight)
    with pytest.raises(ValueError, match=r"\(7, 4, 2, 3\) meets weight \(7, 3, 2, 4\)"):
        adopt(nn.Conv2d(4, 7, (2, 3)), convolution)
    with pytest.raises(ValueError, match=r"\(7, 12\) meets weight \(7, 3, 2, 4\)"):
        adopt(nn.Linear(12, 7), convolution)


def test_a_state_dict_may_lack_the_count_of_batches():
    state = {k: v for k, v in Theirs().state_dict().items() if "num_batches" not in k}
    network = ours()
    adopt(network, state)
    assert torch.equal(network[1].running_mean, state["bn.running_mean"])
    assert network[1].eps == 1e-5


def reordered(state):
    names = list(state)
    names[1], names[2] = names[2], names[1]  # the norm's weight and bias: one shape, two roles
    return {name: state[name] for name in names}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: dict(list(state.items())[:-2]), "7 tensors and the other 5"),
        (lambda state: {**state, "extra.weight": torch.zeros(1)}, "7 tensors and the other 8"),
        (lambda state: {**state, "fc.weight": torch.zeros(3, 4)}, r"3.weight \(2, 4\) meets fc.weight \(3, 4\)"),
        (reordered, r"1.weight \(4,\) meets bn.bias \(4,\)"),
    ],
    ids=["too few", "too many", "shape", "role"],
)
def test_another_layout_is_refused_and_nothing_is_copied(damage, words):
    network = ours()
    before = [value.clone() for value in network.state_dict().values()]
    with pytest.raises(ValueError, match=words):
        adopt(network, damage(Theirs().state_dict()))
    assert all(torch.equal(*pair) for pair in zip(network.state_dict().values(), before, strict=True))


def test_tensors_of_no_layer_may_stand_anywhere():
    """Class tokens and positions: some list them in front of the layers, some behind the first."""
    layer = nn.Linear(2, 2)
    token, positions = torch.randn(1, 1, 2), torch.randn(1, 3, 2)
    behind = {
        "class_token": token,
        "fc.weight": layer.weight,
        "fc.bias": layer.bias,
        "encoder.pos_embedding": positions,
    }
    network = nn.Sequential()
    network.position_embed = nn.Parameter(torch.zeros(1, 3, 2))
    network.cls_token = nn.Parameter(torch.zeros(1, 1, 2))
    network.append(nn.Linear(2, 2))
    adopt(network, behind)
    assert torch.equal(network.cls_token, token)
    assert torch.equal(network.position_embed, positions)
    assert torch.equal(network[0].weight, layer.weight)
    with pytest.raises(ValueError, match=r"cls_token \(1, 1, 2\) meets cls_gamma \(1, 1, 2\)"):
        adopt(network, {"cls_gamma" if name == "class_token" else name: value for name, value in behind.items()})


def test_torchs_attention_calls_no_output_layer_but_has_one():
    theirs, network = nn.MultiheadAttention(4, 2), nn.Sequential(nn.Linear(4, 12), nn.Linear(4, 4))
    x = torch.randn(3, 1, 4)
    adopt(network, theirs, inputs=(x, x, x))
    assert torch.equal(network[0].weight, theirs.in_proj_weight)
    assert torch.equal(network[1].weight, theirs.out_proj.weight)
