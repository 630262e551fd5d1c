import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from riffle.layers.shuffle import ChannelShuffle, channel_shuffle, split_even_odd, split_halves

SHUFFLED = {
    # groups: where the channels of the output come from
    2: [0, 3, 1, 4, 2, 5],
    3: [0, 3, 6, 1, 4, 7, 2, 5, 8],
    4: [0, 2, 4, 6, 1, 3, 5, 7],
    8: [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15],
}


def numbered(channels: int, batch: int = 2) -> torch.Tensor:
    """A map in which every value is another, and channel c of the first example starts with c."""
    offsets = 1000 * torch.arange(batch * 15).reshape(batch, 1, 3, 5)
    return torch.arange(channels)[None, :, None, None] + offsets


@pytest.mark.parametrize("groups", SHUFFLED)
def test_the_permutation_written_out(groups):
    x = numbered(len(SHUFFLED[groups]))
    assert channel_shuffle(x, groups)[0, :, 0, 0].tolist() == SHUFFLED[groups]
    assert torch.equal(ChannelShuffle(groups)(x), x[:, SHUFFLED[groups]])


@pytest.mark.parametrize(("groups", "each"), [(2, 12), (3, 20), (4, 5), (8, 12), (1, 7), (7, 1)])
def test_equals_torch(groups, each):
    x = numbered(groups * each).float()
    assert torch.equal(channel_shuffle(x, groups), F.channel_shuffle(x, groups))


@pytest.mark.parametrize(("groups", "each"), [(2, 12), (3, 20), (4, 4), (8, 3)])
def test_shuffled_back_with_rows_and_columns_exchanged(groups, each):
    x = numbered(groups * each)
    assert not torch.equal(channel_shuffle(x, groups), x)
    assert torch.equal(channel_shuffle(channel_shuffle(x, groups), each), x)


def test_even_and_odd_are_the_halves_of_a_shuffle_back():
    x = numbered(12)
    even, odd = split_even_odd(x)
    assert torch.equal(even, x[:, 0::2])
    assert torch.equal(odd, x[:, 1::2])
    halves = split_halves(channel_shuffle(x, 6))
    assert torch.equal(even, halves[0])
    assert torch.equal(odd, halves[1])


def test_halves():
    x = numbered(6)
    first, second = split_halves(x)
    assert torch.equal(first, x[:, :3])
    assert torch.equal(second, x[:, 3:])


class EvenOdd(nn.Module):
    def forward(self, x):
        return split_even_odd(x)


@pytest.mark.parametrize("layer", [ChannelShuffle(3), EvenOdd()], ids=["shuffle", "even_odd"])
def test_no_tensor_has_more_than_four_dimensions(layer):
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(layer, (torch.randn(2, 12, 4, 6),), dynamic_shapes=(batch,))
    values = (node.meta.get("val") for node in program.graph.nodes)
    flat = itertools.chain.from_iterable(value if isinstance(value, tuple | list) else [value] for value in values)
    dimensions = [value.ndim for value in flat if isinstance(value, torch.Tensor)]
    assert len(dimensions) >= 4
    assert max(dimensions) == 4


def test_prints_its_groups():
    assert repr(ChannelShuffle(3)) == "ChannelShuffle(groups=3)"
