"""Attention and its layers against torch's own and against the papers' formulas, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from random_networks import randomize
from riffle.layers.transformer import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    MultiHeadAttention,
    PreNormEncoderLayer,
    causal_mask,
    padding_mask,
    sinusoids,
)
from riffle.weights.adopt import adopt

TOLERANCE = 1e-9
BATCH, LENGTH, KEYS, WIDTH, HEADS = 3, 5, 7, 24, 4


def tokens(length: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(BATCH, length, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_padding(length: int) -> torch.Tensor:
    """The second sequence has one token of padding, the third has two; (batch, length), true where there is a token."""
    return torch.arange(length) < length - torch.arange(BATCH)[:, None]


MASKS = {
    # (batch, keys) and (queries, keys): where a query may look
    "no mask": (None, None),
    "padding": (some_padding, None),
    "causal": (None, causal_mask),
    "both": (some_padding, causal_mask),
}


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
def test_attention_equals_torch(cross, masks):
    ours = randomize(MultiHeadAttention(WIDTH, HEADS))
    x, memory = tokens(LENGTH), tokens(KEYS if cross else LENGTH, seed=1)
    padding, causal = MASKS[masks]
    keep = None if padding is None else padding(memory.shape[1])
    order = None if causal is None else causal(memory.shape[1])[:LENGTH]
    source = memory if cross else x
    theirs, _ = F.multi_head_attention_forward(
        *(part.transpose(0, 1) for part in (x, source, source)),
        WIDTH,
        HEADS,
        ours.in_proj.weight,
        ours.in_proj.bias,
        None,
        None,
        False,
        0.0,
        ours.out_proj.weight,
        ours.out_proj.bias,
        training=False,
        key_padding_mask=None if keep is None else ~keep,
        attn_mask=None if order is None else ~order,
    )
    mask = None if keep is None else keep[:, None, None]
    if order is not None:
        mask = order if mask is None else mask & order
    with torch.no_grad():
        difference = ours(x, memory if cross else None, mask=mask) - theirs.transpose(0, 1)
    assert difference.abs().max() < TOLERANCE


def test_attention_by_hand():
    """Equation 1 with one head of width 2: weights are the softmax of q k / sqrt(2)."""
    attention = MultiHeadAttention(2, 1).double()
    with torch.no_grad():
        attention.in_proj.weight.copy_(torch.eye(2).repeat(3, 1))
        attention.out_proj.weight.copy_(torch.eye(2))
        attention.in_proj.bias.zero_()
        attention.out_proj.bias.zero_()
        y = attention(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], dtype=torch.float64))
    first = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    second = math.exp(4 / math.sqrt(2)) / (math.exp(4 / math.sqrt(2)) + 1)
    expected = [[first, 2 * (1 - first)], [1 - second, 2 * second]]
    torch.testing.assert_close(y[0], torch.tensor(expected, dtype=torch.float64))


def test_self_attention_is_cross_attention_to_oneself():
    attention, x = randomize(MultiHeadAttention(WIDTH, HEADS)), tokens(LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), attention(x, x), rtol=0, atol=TOLERANCE)


def test_heads_share_the_width_evenly():
    with pytest.raises(ValueError, match="5 heads do not share a width of 24"):
        MultiHeadAttention(24, 5)


def test_encoder_layer_equals_torch():
    theirs = randomize(nn.TransformerEncoderLayer(WIDTH, HEADS, 40, batch_first=True, norm_first=False))
    ours = EncoderLayer(WIDTH, 40, HEADS).double().eval()
    x, keep = tokens(LENGTH), some_padding(LENGTH)
    adopt(ours, theirs, inputs=(x,))
    with torch.no_grad():
        mine = ours(x, mask=keep[:, None, None])
        other = theirs(x, src_key_padding_mask=~keep)
    assert (mine - other)[keep].abs().max() < TOLERANCE  # torch leaves padded places out, or not, by its own choice


def test_decoder_layer_equals_torch():
    theirs = randomize(nn.TransformerDecoderLayer(WIDTH, HEADS, 40, batch_first=True, norm_first=False))
    ours = DecoderLayer(WIDTH, 40, HEADS).double().eval()
    x, memory, keep = tokens(LENGTH), tokens(KEYS, seed=1), some_padding(KEYS)
    adopt(ours, theirs, inputs=(x, memory))
    with torch.no_grad():
        mine = ours(x, memory, mask=causal_mask(LENGTH), memory_mask=keep[:, None, None])
        other = theirs(x, memory, tgt_mask=~causal_mask(LENGTH), memory_key_padding_mask=~keep)
    assert (mine - other).abs().max() < TOLERANCE


def test_pre_norm_layer_equals_torch():
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 40, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    theirs, ours = randomize(theirs), PreNormEncoderLayer(WIDTH, 40, HEADS).double().eval()
    x = tokens(LENGTH)
    adopt(ours, theirs, inputs=(x,))
    with torch.no_grad():
        assert (ours(x) - theirs(x)).abs().max() < TOLERANCE


def test_a_branch_left_out_leaves_the_input():
    torch.manual_seed(0)
    layer = PreNormEncoderLayer(WIDTH, 40, HEADS, drop_path=0.999).double()
    x = tokens(LENGTH)
    assert torch.equal(layer(x), x)
    assert not torch.equal(layer.eval()(x), x)


def test_feed_forward_sees_each_place_by_itself():
    layer, x = randomize(FeedForward(WIDTH, 40)), tokens(LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[:, 2:3], layer(x[:, 2:3]), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("position", "channel", "value"),
    [
        (0, 0, 0.0),
        (0, 511, 1.0),
        (1, 0, math.sin(1)),
        (1, 1, math.cos(1)),
        (7, 2, math.sin(7 / 10_000 ** (2 / 512))),
        (100, 255, math.cos(100 / 10_000 ** (254 / 512))),
        (999, 510, math.sin(999 / 10_000 ** (510 / 512))),
    ],
)
def test_sinusoids_are_the_papers(position, channel, value):
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)) and PE(pos, 2i + 1) = cos of the same."""
    assert sinusoids(1000, 512)[position, channel].item() == pytest.approx(value, abs=2e-5)


def test_sinusoids_do_not_depend_on_the_length():
    assert torch.equal(sinusoids(3, 8), sinusoids(5000, 8)[:3])


def test_masks():
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert padding_mask(torch.tensor([[5, 9, 9], [9, 5, 5]]), 9).squeeze().tolist() == [
        [True, False, False],
        [False, True, True],
    ]
