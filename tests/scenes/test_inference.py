"""A whole scene in one pass gives what window by window gives, on every pixel."""

import time

import pytest
import torch
from torch import nn

import riffle
from random_networks import randomize
from riffle.models.hybridsn import HybridSN
from riffle.scenes import networks
from riffle.scenes.inference import HEAD_BYTES, dense
from riffle.scenes.windows import Windows

SIZE = (17, 14)


def patch_by_patch(model: nn.Module, cube: torch.Tensor, window: int, *, has_channel: bool) -> torch.Tensor:
    windows = Windows(cube, window)
    rows, columns = cube.shape[1:]
    with torch.no_grad():
        cut = windows.cut(torch.arange(rows * columns).numpy())
        scores = torch.cat([model(part[:, None] if has_channel else part) for part in cut.split(64)])
    return scores.T.reshape(-1, rows, columns)


def assert_same(scores: torch.Tensor, expected: torch.Tensor, bound: float = 1e-9) -> None:
    assert scores.shape == expected.shape
    varied = expected.flatten(1).std(1).min()
    assert varied > 1e-3 * expected.abs().max(), "a dead signal shows nothing"
    assert (scores - expected).abs().max() < bound * expected.abs().max()


# network, bands, window, parts of the trunk that compute
CASES = [
    ("hybridsn", 13, 9, 4),
    ("hybridsn", 15, 11, 4),
    ("hybridsn_residual", 13, 9, 4),
    ("hybridsn_se", 13, 9, 4),
    ("hybridsn_cbam", 13, 11, 4),
    ("separable", 6, 7, None),
    ("cnn_2d", 5, 7, None),
    ("cnn_3d", 13, 7, 3),
    ("shufflenet_v2_x0_5", 3, 32, 0),
]


@pytest.mark.parametrize(("name", "bands", "window", "computing"), CASES)
def test_equals_window_by_window_everywhere(name, bands, window, computing):
    torch.manual_seed(0)
    model = randomize(networks.build(name, bands=bands, classes=4, window=window))
    has_channel = name.startswith(("hybridsn", "cnn_3d"))
    cube = torch.randn(bands, *SIZE, dtype=torch.float64)
    network = dense(model, window=window)
    assert_same(network(cube), patch_by_patch(model, cube, window, has_channel=has_channel))
    if computing is not None:
        trunk = network.parts(bands)[0]
        layers = [part for part in trunk if any(True for _ in part.parameters())]
        assert len(layers) == computing


@pytest.mark.parametrize("window", [2, 4, 5])
def test_any_sequence_and_even_windows(window):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * (window - 1) ** 2, 5))
    model = randomize(model)
    cube = torch.randn(3, *SIZE, dtype=torch.float64)
    before = cube.clone()
    assert_same(dense(model, window=window)(cube), patch_by_patch(model, cube, window, has_channel=False))
    assert torch.equal(cube, before)


# What must not go into the trunk: it sees more than a place's surroundings, or not every place.
TRAPS = [
    nn.Conv2d(3, 6, 3, padding=1),
    nn.Conv2d(3, 6, 3, stride=2),
    nn.MaxPool2d(2),
    nn.InstanceNorm2d(3),
    nn.Softmax(dim=-1),
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: type(trap).__name__)
def test_layers_that_see_a_window_as_a_whole(trap):
    torch.manual_seed(0)
    channels, side = trap(torch.zeros(1, 3, 7, 7)).shape[1:3]
    model = randomize(nn.Sequential(trap, nn.ReLU(), nn.Flatten(), nn.Linear(channels * side**2, 4)))
    cube = torch.randn(3, *SIZE, dtype=torch.float64)
    network = dense(model, window=7)
    assert len(network.parts(3)[0]) == 0
    assert_same(network(cube), patch_by_patch(model, cube, 7, has_channel=False))


def test_a_module_with_its_own_order():
    class Backwards(nn.Sequential):
        def forward(self, x):
            for part in reversed(self):
                x = part(x)
            return x

    torch.manual_seed(0)
    model = randomize(Backwards(nn.Linear(4 * 9, 5), nn.Flatten(), nn.Conv2d(3, 4, 3)))
    cube = torch.randn(3, *SIZE, dtype=torch.float64)
    assert_same(dense(model, window=5)(cube), patch_by_patch(model, cube, 5, has_channel=False))


def test_little_memory_means_smaller_tiles_and_the_same_answers():
    torch.manual_seed(0)
    model = randomize(networks.build("hybridsn", bands=13, classes=4, window=9)).float()
    cube = torch.randn(13, 40, 50)
    whole = dense(model, window=9)
    small = dense(model, window=9, memory=2 * HEAD_BYTES + 10**6)
    assert len(list(whole.tiles(40, 50, bands=13))) == 1
    tiles = list(small.tiles(40, 50, bands=13))
    assert len(tiles) > 4
    covered = torch.zeros(40, 50)
    for tile in tiles:
        covered[tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns] += 1
    assert (covered == 1).all()
    done = []
    assert_same(small(cube, progress=done.append), whole(cube), 1e-5)
    assert sum(done) == 40 * 50
    with pytest.raises(ValueError, match=r"needs at least 6\d MB for a pass; got 1 MB"):
        dense(model, window=9, memory=10**6)(cube)


def test_it_takes_scenes_only():
    network = riffle.scenes.dense(HybridSN(13, size=9), window=9)
    with pytest.raises(ValueError, match=r"\(bands, rows, columns\); got the shape \(1, 13, 20, 20\)"):
        network(torch.zeros(1, 13, 20, 20))
    with pytest.raises(ValueError, match="at least 1 pixel"):
        dense(HybridSN(13, size=9), window=0)


@pytest.mark.slow
def test_the_papers_network_on_a_scene_as_large_as_indian_pines():
    torch.manual_seed(0)
    model = randomize(riffle.create("hybridsn_indian_pines")).float()
    cube = torch.randn(30, 145, 145)
    network = dense(model, window=25)
    network(cube[:, :30, :30])
    began = time.perf_counter()
    scores = network(cube)
    seconds = time.perf_counter() - began
    windows = Windows(cube, 25)
    corners = [0, 144, 144 * 145, 145 * 145 - 1]
    pixels = torch.tensor([*corners, *torch.randint(145 * 145, (252,)).tolist()]).numpy()
    began = time.perf_counter()
    with torch.no_grad():
        expected = torch.cat([model(windows.cut(pixels[i : i + 64])[:, None]) for i in range(0, 256, 64)])
    slow = (time.perf_counter() - began) * 145 * 145 / 256
    assert_same(scores.flatten(1)[:, torch.from_numpy(pixels)].T, expected, 1e-5)
    assert slow > 30 * seconds
