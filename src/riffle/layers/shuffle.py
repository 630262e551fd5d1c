"""The channel shuffle and the channel split, as the ShuffleNet papers draw them."""

from torch import Tensor, nn


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of ``groups`` groups out in turn, as a riffle interleaves two halves of a deck.

    (batch, channels, height, width) to the same shape: channel ``i * (channels / groups) + j`` goes to place
    ``j * groups + i`` (ShuffleNet V1, section 3.1). Written with four dimensions, never five, because several phone
    runtimes transpose at most four.
    """
    batch, channels, height, width = x.shape
    grouped = x.reshape(batch, groups, channels // groups, height * width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)


class ChannelShuffle(nn.Module):
    """:func:`channel_shuffle` as a layer."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        return channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"groups={self.groups}"


def split_halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second half of the channels (ShuffleNet V2's channel split)."""
    first, second = x.chunk(2, dim=1)
    return first, second


def split_even_odd(x: Tensor) -> tuple[Tensor, Tensor]:
    """The even and the odd channels: a shuffle with two columns and a split in one step.

    The authors' release of ShuffleNet V2 splits so at a unit's input, where others shuffle at its output.
    """
    batch, channels, height, width = x.shape
    pairs = x.reshape(batch, channels // 2, 2, height * width)
    even, odd = pairs.unbind(2)
    half = (batch, channels // 2, height, width)
    return even.reshape(half), odd.reshape(half)


class Gather(nn.Module):
    """Channels in any order: channel i of the output is channel ``index[i]`` of the input."""

    index: Tensor

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, ...) to (batch, len(index), ...)."""
        return x.index_select(1, self.index)
