"""Attention and the layers around it, as the Transformer and the Vision Transformer draw them.

Vaswani et al., Attention Is All You Need, https://arxiv.org/abs/1706.03762, and Dosovitskiy et al., An Image is Worth
16x16 Words, https://arxiv.org/abs/2010.11929. A mask is true where a query may look at a key, and is broadcast to
(batch, heads, queries, keys); masks are combined with ``&``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.conv import Activation, relu
from riffle.layers.drop_path import DropPath


class MultiHeadAttention(nn.Module):
    """Section 3.2 and Fig. 2: each head weighs the values by how well its queries meet its keys.

    The projections to queries, keys and values are one linear layer, in that order, as most published weights have
    them; the heads' slices lie one after another in each.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not share a width of {width} evenly")
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """(batch, queries, width) to the same shape; keys and values come from ``memory`` (batch, keys, width).

        Without ``memory`` they come from ``x`` itself: self-attention.
        """
        if memory is None:
            parts = self.in_proj(x).chunk(3, dim=-1)
        else:  # of the stacked layer, one third is for x and two thirds are for the memory
            width = x.shape[-1]
            weight, bias = self.in_proj.weight, self.in_proj.bias
            of_memory = F.linear(memory, weight[width:], bias[width:])
            parts = (F.linear(x, weight[:width], bias[:width]), *of_memory.chunk(2, dim=-1))
        queries, keys, values = (part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
        weighed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.out_proj(weighed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Sequential):
    """Section 3.3, equation 2: two linear layers at each position by itself, with a wider inside."""

    def __init__(self, width: int, hidden: int, *, act: Activation = relu, dropout: float = 0.0) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.act = act()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden, width)


class EncoderLayer(nn.Module):
    """The left half of the Transformer's Fig. 1: a norm follows each addition (section 3.1)."""

    def __init__(self, width: int, hidden: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """(batch, length, width) to the same shape."""
        x = self.norm1(x + self.dropout(self.attention(x, mask=mask)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """The right half of the Transformer's Fig. 1: between the two, attention to what the encoder made."""

    def __init__(self, width: int, hidden: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """(batch, length, width) to the same shape, with ``memory`` (batch, length of the source, width)."""
        x = self.norm1(x + self.dropout(self.attention(x, mask=mask)))
        x = self.norm2(x + self.dropout(self.cross_attention(x, memory, mask=memory_mask)))
        return self.norm3(x + self.dropout(self.feed_forward(x)))  # type: ignore[no-any-return]


class PreNormEncoderLayer(nn.Module):
    """The right half of the Vision Transformer's Fig. 1, equations 2 and 3: a norm comes first in each branch.

    GELU, and a norm's epsilon of 1e-6, as in its released code.
    """

    def __init__(self, width: int, hidden: int, heads: int, *, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = MultiHeadAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.feed_forward = FeedForward(width, hidden, act=nn.GELU, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, width) to the same shape."""
        x = x + self.drop_path(self.dropout(self.attention(self.norm1(x))))
        return x + self.drop_path(self.dropout(self.feed_forward(self.norm2(x))))  # type: ignore[no-any-return]


def sinusoids(length: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Section 3.5: positions as sines and cosines of ``width / 2`` frequencies, in turn, as (length, width) float32."""
    frequency = 10_000 ** (-torch.arange(0, width, 2, device=device) / width)
    angle = torch.arange(length, device=device)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def causal_mask(length: int, *, device: torch.device | None = None) -> Tensor:
    """Section 3.2.3: each position looks at itself and at what comes before it; (length, length)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(tokens: Tensor, padding: int) -> Tensor:
    """Nobody looks at padding: (batch, length) token numbers to a mask (batch, 1, 1, length)."""
    return (tokens != padding)[:, None, None, :]
