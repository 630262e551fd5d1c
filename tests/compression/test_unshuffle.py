"""Networks without their shuffles give the same answers, in float64, and train in the same way."""

from copy import deepcopy

import onnx
import pytest
import torch
from shuffling import FREED, KEPT, Classifier, Shared, Unit, by_views, conv
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import peers
from random_networks import randomize
from riffle import zoo
from riffle.card import Card, card_of
from riffle.compression import fuse, unshuffle
from riffle.compression.channels import emitting
from riffle.compression.unshuffle import Unshuffled
from riffle.deployment import onnx as onnx_files
from riffle.layers.shuffle import channel_shuffle
from riffle.preprocessing import Preprocessing
from riffle.weights.native import load_folder, save_folder
from riffle.weights.record import Record

TOLERANCE = 1e-9
MOVES = ("reshape", "view", "transpose", "permute", "channel_shuffle", "index_select", "stack", "gather")
ALL = FREED | KEPT


# Outputs in their own order, additions that split few channels into many slices; a gate's views.
GATHERS = {
    "detector": 3,
    "two readers": 1,
    "pose": 3,
    "two filters a channel": 2,
    "squeeze and excitation": 8,
}


QUICK = ("hard-swish", "flattened")


def some(names) -> list:
    """A few in the default suite, and all of them in the slow one."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return randomize(ALL[name]())


def picture(side: int = 16) -> Tensor:
    return torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def assert_same(one: nn.Module, other: nn.Module, *, side: int = 16) -> None:
    """Every output agrees, measured against what another picture changes in it."""
    x = picture(side)
    with torch.no_grad():
        outputs, expected = tree_leaves(one(x.clone())), tree_leaves(other(x.clone()))
    assert len(outputs) == len(expected)
    for ours, theirs in zip(outputs, expected, strict=True):
        change = (theirs[0] - theirs[1]).abs().max()
        assert change > 1e-2 * theirs.abs().max(), "the signal died on its way: this comparison would see nothing"
        assert (ours - theirs).abs().max() <= TOLERANCE * change


def moves(network: nn.Module) -> list[str]:
    """The operations that move channels about; a gate's views between pooling and linear layers are not meant."""
    return [node.name for node in network.graph.nodes if node.name.startswith(MOVES)]


def step(network: nn.Module, *, side: int = 16) -> nn.Module:
    """One step of training on what the network gives."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
    sum(output.square().mean() for output in tree_leaves(network(picture(side)))).backward()
    optimizer.step()
    return network


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "exported" else n for n in FREED])
def test_no_shuffle_is_left(name):
    network = built(name)
    before = deepcopy(network.state_dict())
    rewritten = unshuffle(network, picture())
    assert rewritten.left == ()
    assert len(moves(rewritten)) == GATHERS.get(name, 0)
    assert_same(rewritten, network)
    assert all(value.shape == before[key].shape for key, value in rewritten.state_dict().items())
    assert len(list(rewritten.parameters())) == len(list(network.parameters()))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_has_a_reason(name):
    network = built(name)
    rewritten = unshuffle(network, picture())
    assert rewritten.left
    assert all("a gather would take its place" in reason for reason in rewritten.left)
    assert_same(rewritten, network)
    assert any("channel_shuffle" in move for move in moves(rewritten))
    with torch.no_grad():
        shapes = torch.fx.passes.shape_prop.ShapeProp(rewritten)
        shapes.propagate(picture())
    assert not any(len(getattr(node.meta.get("tensor_meta"), "shape", ())) > 4 for node in rewritten.graph.nodes)


@pytest.mark.parametrize("name", some(ALL))
def test_both_orders_with_fuse(name):
    network = built(name)
    assert_same(unshuffle(fuse(network), picture()), network)
    assert_same(fuse(unshuffle(network, picture())), network)


@pytest.mark.parametrize("name", some(ALL))
def test_a_step_of_training(name):
    """The gradients are the same: so are the answers after a step, in evaluation and with norms of the batch."""
    for mode in (False, True):
        network = built(name).train(mode)
        if name == "exported":
            network.eval()
        for dropout in (module for module in network.modules() if isinstance(module, nn.Dropout)):
            dropout.p = 0.0  # which numbers it drops is up to chance
        rewritten = unshuffle(network, picture())
        assert rewritten.training is network.training
        assert_same(step(rewritten).eval(), step(network).eval())


@pytest.mark.parametrize("multiple", [8, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", some(ALL))
def test_padded_slices(name, multiple):
    network = built(name)
    rewritten = unshuffle(network, picture(), multiple=multiple)
    assert_same(rewritten, network)
    if name in ("hard-swish", "odd halves", "exported", "functional"):
        splits = [node.args[1] for node in rewritten.graph.nodes if node.target is torch.split]
        assert splits
        assert all(size % multiple == 0 for sizes in splits for size in sizes)


def test_an_example_that_does_not_fit_is_one_line(capfd, caplog):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(7))
    with pytest.raises(ValueError, match=r"does not take an example of \(1, 3, 5, 5\): ") as caught:
        unshuffle(network, torch.zeros(1, 3, 5, 5))
    assert "\n" not in str(caught.value)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    assert capfd.readouterr().err == ""


def test_only_these_multiples():
    with pytest.raises(ValueError, match="1, 8 or 16; got 3"):
        unshuffle(built("hard-swish"), picture(), multiple=3)


SLOW = [
    "shufflenet_v2_x0_5_authors",
    "shufflenet_v2_plus_small",
    *(f"shufflenet_v2_{width}{layout}" for width in ("x1_0", "x1_5", "x2_0") for layout in ("", "_authors")),
    "se_shufflenet_v2_x2_0",
    "shufflenet_v2_50",
]


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_ours(name):
    network = randomize(zoo.create(name))
    rewritten = unshuffle(network, picture(64))
    assert rewritten.left == ()
    assert [move for move in moves(rewritten) if "gate" not in move] == []
    assert_same(rewritten, network, side=64)
    assert card_of(rewritten).rewrites == ("unshuffle",)


@pytest.mark.parametrize(
    "width", ["x0_5", *(pytest.param(width, marks=pytest.mark.slow) for width in ("x1_0", "x1_5", "x2_0"))]
)
def test_torchvision(width):
    network = randomize(peers.published("torchvision", f"shufflenet_v2_{width}"))
    rewritten = unshuffle(network, picture(64))
    assert (rewritten.left, moves(rewritten)) == ((), [])
    assert_same(rewritten, network, side=64)
    targets = [node.target for node in rewritten.graph.nodes]
    assert targets.count(torch.split) == targets.count(torch.cat) == 16  # one for each unit


@pytest.mark.slow
def test_each_unit_concatenates_half_of_its_channels():
    rewritten = unshuffle(randomize(zoo.create("shufflenet_v2_x0_5")), picture(64))
    shapes = torch.fx.passes.shape_prop.ShapeProp(rewritten)
    shapes.propagate(picture(64))
    widths = [node.meta["tensor_meta"].shape[1] for node in rewritten.graph.nodes if node.target is torch.cat]
    assert widths == [24] * 3 + [48] + [48] * 7 + [96] + [96] * 3 + [192]  # a stage's end is read whole


@pytest.mark.slow
def test_shufflenet_v1_keeps_its_shuffles():
    network = randomize(zoo.create("shufflenet_v1_g3_x0_5"))
    rewritten = unshuffle(network, picture(64))
    assert len(rewritten.left) == 15
    assert "grouped convolution" in rewritten.left[0]
    assert_same(rewritten, network, side=64)


def test_a_layer_called_twice_stays_one_layer():
    network = randomize(Classifier(Shared(16)))
    rewritten = unshuffle(network, picture())
    assert_same(rewritten, network)
    assert sum(p.numel() for p in rewritten.parameters()) == sum(p.numel() for p in network.parameters())
    assert_same(step(rewritten), step(network))


def test_tied_weights_stay_tied():
    network = Classifier(Unit(16), Unit(16))
    network.units[1].branch[0][0].weight = network.units[0].branch[0][0].weight
    randomize(network)
    rewritten = unshuffle(network, picture())
    assert_same(rewritten, network)
    assert rewritten.units._modules["1"].branch._modules["0"]._modules["0"].weight is (
        rewritten.units._modules["0"].branch._modules["0"]._modules["0"].weight
    )


class InPlace(nn.Module):
    """Changes a slice, and then reads the whole; or the whole, and reads it under its old name."""

    def __init__(self, *, part):
        super().__init__()
        self.first, self.second = conv(16, 16, act=None), conv(16, 16)
        self.part = part

    def forward(self, x):
        x = self.first(x)
        changed = x.chunk(2, 1)[0] if self.part else x
        changed.relu_()
        return by_views(x, 2) + self.second(by_views(x, 4))


def test_what_is_changed_in_place_is_read_changed():
    network = randomize(Classifier(InPlace(part=False), Unit(16), Unit(16)))
    rewritten = unshuffle(network, picture())
    assert_same(rewritten, network)


def test_a_part_that_is_changed_in_place():
    network = randomize(Classifier(InPlace(part=True)))
    rewritten = unshuffle(network, picture())
    assert "changes in place" in rewritten.left[0]
    assert_same(rewritten, network)


class Borders(nn.Module):
    """Pads channels and flips pictures."""

    def forward(self, x):
        return nn.functional.pad(by_views(x.flip(3), 2), (1, 1, 0, 0, 1, -1))


def test_padding_of_channels_is_not_taken_for_padding_of_pictures():
    network = randomize(Classifier(Unit(16), Unit(16), Borders(), Unit(16), Unit(16)))
    assert_same(unshuffle(network, picture()), network)


class Untraceable(nn.Module):
    def forward(self, x):
        return by_views(x, 2) if x.sum().item() > 0 else x


def test_a_network_that_looks_at_numbers_is_left():
    network = randomize(Classifier(Untraceable()))
    rewritten = unshuffle(network, picture())
    assert "cannot be traced" in rewritten.left[0]
    assert_same(rewritten, network)


@pytest.mark.parametrize("name", ["squeeze and excitation", pytest.param("exported", marks=pytest.mark.slow)])
def test_another_size_and_batch(name):
    network = built(name)
    rewritten = unshuffle(network, picture()[:1])
    assert_same(rewritten, network, side=24)


def test_copies_keep_what_is_known():
    network = built("hard-swish")
    network.card = Card("some name")
    copy = deepcopy(unshuffle(network, picture()))
    assert isinstance(copy, Unshuffled)
    assert (card_of(copy).name, card_of(copy).rewrites) == ("some name", ("unshuffle",))
    assert copy.example_inputs(32)[0].shape == (1, 3, 32, 32)
    copy.train()
    assert all(module.training for module in copy.modules())


REWRITES = [
    ("fuse", "unshuffle"),
    *(pytest.param(names, marks=pytest.mark.slow) for names in (("unshuffle", "fuse"), ("fuse", "unshuffle_8"))),
]


@pytest.mark.parametrize("rewrites", REWRITES, ids=str)
def test_a_saved_network_loads_again(tmp_path, rewrites):
    network = zoo.create("shufflenet_v2_x0_5", num_classes=4).eval()
    small = network
    for rewrite in rewrites:
        multiple = int(rewrite.partition("_")[2] or 1)
        small = fuse(small) if rewrite == "fuse" else unshuffle(small, torch.zeros(1, 3, 64, 64), multiple=multiple)
    save_folder(small, tmp_path / "network", Record())
    loaded = load_folder(tmp_path / "network")
    assert card_of(loaded).rewrites == rewrites
    x = torch.randn(2, 3, 96, 96)
    assert torch.equal(loaded(x), small(x))


@pytest.mark.slow
def test_it_is_exported_by_torch():
    network = zoo.create("shufflenet_v2_x0_5").eval()
    small = unshuffle(fuse(network), torch.zeros(1, 3, 64, 64))
    x = torch.randn(2, 3, 64, 64)
    program = torch.export.export(small, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.testing.assert_close(program.module()(x), small(x))


def graph_of(network: nn.Module, path, *, size: int = 64):
    onnx_files.export(network, Preprocessing(size=size), path)
    return onnx.load(path).graph


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["ours", "authors", "torchvision"])
def test_an_onnx_file_of_x1_0_has_few_operations(tmp_path, layout):
    name = "shufflenet_v2_x1_0"
    if layout == "torchvision":
        network = peers.published("torchvision", name).eval()
    else:
        network = zoo.create(name + "_authors" * (layout == "authors")).eval()
    graph = graph_of(unshuffle(fuse(network), torch.zeros(1, 3, 224, 224)), tmp_path / "x.onnx", size=224)
    kinds = [node.op_type for node in graph.node]
    assert len(kinds) <= 135
    between = kinds[kinds.index("MaxPool") : kinds.index("ReduceMean")]
    assert not {"Reshape", "Transpose", "Gather"} & set(between)


@pytest.mark.slow
def test_an_onnx_file_of_shufflenet_v1_has_at_most_four_dimensions(tmp_path):
    for network in (zoo.create("shufflenet_v1_g3_x0_5"), built("between grouped convolutions").float()):
        example = torch.zeros(1, 3, 64, 64)
        graph = graph_of(unshuffle(fuse(network), example), tmp_path / "x.onnx")
        ranks = [len(value.type.tensor_type.shape.dim) for value in graph.value_info]
        assert ranks
        assert max(ranks) == 4


def test_wrong_weights_are_noticed(monkeypatch):
    right = emitting._taken
    monkeypatch.setattr(emitting, "_taken", lambda *args: right(*args).flip(args[1]))
    with pytest.raises(ArithmeticError, match="changed an answer"):
        unshuffle(built("hard-swish"), picture())


def test_a_weight_that_is_not_finite():
    network = built("hard-swish")
    network.fc.weight.data[0, 0] = float("nan")
    with pytest.raises(ArithmeticError, match="changed an answer"):
        unshuffle(network, picture())


def test_the_shuffle_that_stays_is_torchs():
    x = torch.randn(2, 12, 3, 3)
    assert torch.equal(channel_shuffle(x, 3), by_views(x, 3))
