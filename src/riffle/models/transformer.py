"""Attention Is All You Need, https://arxiv.org/abs/1706.03762.

Sequences of token numbers in, scores for the next token out: this network takes no pictures. Loss and learning rate
are in ``riffle.training.translation``, decoding is in ``riffle.models.decoding``.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.layers.transformer import DecoderLayer, EncoderLayer, causal_mask, padding_mask, sinusoids
from riffle.registry import register

LAYERS = 6  # section 3.1: N, in the encoder and in the decoder
VOCABULARY = 37_000  # section 5.1: English and German share about so many byte pairs


class Transformer(nn.Module):
    """Fig. 1, with one embedding for the source, the target and the scores (section 3.4).

    ``padding`` is the token number that fills short sequences up. In sources it may stand anywhere; in targets it comes
    behind the tokens, where the causal mask hides it from them.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        heads: int,
        *,
        layers: int = LAYERS,
        vocabulary: int = VOCABULARY,
        dropout: float = 0.1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.card: Any = None  # the registry's note on where this network comes from
        self.padding = padding
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(EncoderLayer(width, hidden, heads, dropout=dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(width, hidden, heads, dropout=dropout) for _ in range(layers))
        self._initialise()

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Token numbers (batch, source length) and (batch, target length) to scores (batch, target length, vocabulary).

        The scores at a position are for the token that follows it.
        """
        return self.score(self.decode(target, self.encode(source), source))

    def encode(self, source: Tensor) -> Tensor:
        """(batch, length) token numbers to the memory (batch, length, width) that the decoder looks at."""
        x = self.embed(source)
        mask = padding_mask(source, self.padding)
        for layer in self.encoder:
            x = layer(x, mask=mask)
        return x

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """(batch, length) token numbers to states (batch, length, width), with ``encode(source)`` as memory."""
        x = self.embed(target)
        mask = causal_mask(target.shape[1], device=target.device)
        memory_mask = padding_mask(source, self.padding)
        for layer in self.decoder:
            x = layer(x, memory, mask=mask, memory_mask=memory_mask)
        return x

    def score(self, states: Tensor) -> Tensor:
        """The decoder's states (..., width) to scores (..., vocabulary): the embedding once more (section 3.4)."""
        return F.linear(states, self.embedding.weight)

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) token numbers to (batch, length, width): scaled embeddings and positions (3.4 and 3.5)."""
        x = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        positions = sinusoids(x.shape[1], x.shape[2], device=x.device)
        return self.dropout(x + positions.to(x.dtype))  # type: ignore[no-any-return]

    def example_inputs(self, size: int | None = None, *, batch: int = 1) -> tuple[Tensor, ...]:
        """A source and a target of ``size`` tokens (128), none of them padding, for counting and exporting."""
        token = 1 if self.padding == 0 else 0
        tokens = torch.full((batch, size or 128), token, device=self.embedding.weight.device)
        return tokens, tokens.clone()

    def _initialise(self) -> None:
        """Uniform with unit variance kept, as the authors' release has it; the paper does not say.

        Queries, keys and values each count as a matrix of their own. The embedding's variance is 1 / width, so that
        both the scaled input and the scores are of size 1.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = math.sqrt(3 / module.in_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=self.embedding.embedding_dim**-0.5)


VARIANTS: dict[str, dict[str, Any]] = {
    # Table 3 prints 65 and 213 million parameters; no vocabulary gives both. These have 63.1 and 214.2 at 37,000.
    #                       d_model     d_ff         h         P_drop
    "transformer_base": dict(width=512, hidden=2048, heads=8, dropout=0.1),
    "transformer_big": dict(width=1024, hidden=4096, heads=16, dropout=0.3),
}
register(Transformer, VARIANTS)
