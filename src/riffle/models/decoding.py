"""From scores for the next token to whole sequences: greedy and beam search.

Attention Is All You Need, https://arxiv.org/abs/1706.03762, section 6.1, takes a beam of 4 and the length penalty of
Wu et al., Google's Neural Machine Translation System, https://arxiv.org/abs/1609.08144, with alpha 0.6.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from riffle.models.transformer import Transformer

Scorer = Callable[[Tensor], Tensor]
"""From token numbers (rows, length) to scores (rows, vocabulary) for the token that follows: logits or logarithms of
probabilities. Rows do not influence each other."""


@torch.no_grad()
def greedy(score: Scorer, prefix: Tensor, *, end: int, longest: int) -> list[list[int]]:
    """The best next token again and again, for each row by itself.

    Args:
        score: what judges next tokens.
        prefix: token numbers (rows, length) that every sequence begins with.
        end: the token that closes a sequence.
        longest: at most so many tokens are added.

    Returns:
        For each row the added tokens, without the closing one.
    """
    tokens = prefix
    closed = torch.zeros(len(prefix), dtype=torch.bool, device=prefix.device)
    for _ in range(longest):
        best = score(tokens).argmax(-1)
        tokens = torch.cat((tokens, best[:, None]), dim=1)
        closed |= best == end
        if closed.all():
            break
    return [_until(end, row) for row in tokens[:, prefix.shape[1] :].tolist()]


@torch.no_grad()
def beam_search(
    score: Scorer, prefix: Tensor, *, end: int, longest: int, beam: int = 4, alpha: float = 0.6
) -> list[list[int]]:
    """The most probable sequences, with ``beam`` candidates kept for each row; one candidate is greedy search.

    A candidate that closes leaves the beam, which is then narrower by one. Among those that closed, the highest
    logarithm of the probability over :func:`length_penalty` wins; where none closed in time, the most probable one.

    Args:
        score: what judges next tokens. It is asked about ``beam`` times as many rows as ``prefix`` has: those of the
            first, then those of the second, and so on.
        prefix: token numbers (rows, length) that every sequence begins with.
        end: the token that closes a sequence.
        longest: at most so many tokens are added.
        beam: number of candidates.
        alpha: how much longer sequences are favoured; 0 is not at all.

    Returns:
        For each row the added tokens, without the closing one.
    """
    if beam < 1:
        raise ValueError(f"a beam has at least one candidate; got {beam}")
    rows, given = prefix.shape
    tokens = prefix[:, None].expand(rows, beam, given)
    total = torch.full((rows, beam), -torch.inf, device=prefix.device)
    total[:, 0] = 0.0  # the candidates begin alike: one of them is enough
    width = torch.full((rows, 1), beam, device=prefix.device)
    best: list[tuple[float, list[int]]] = [(-torch.inf, [])] * rows
    for length in range(1, longest + 1):
        next_one = score(tokens.flatten(0, 1)).log_softmax(-1)
        vocabulary = next_one.shape[-1]
        # The best continuations of all candidates of a row, most probable first.
        total, choice = (total.unsqueeze(-1) + next_one.view(rows, beam, vocabulary)).flatten(1).topk(beam)
        parent, token = choice // vocabulary, choice % vocabulary
        tokens = torch.cat((tokens.take_along_dim(parent[..., None], 1), token[..., None]), dim=-1)
        total = total.where(torch.arange(beam, device=prefix.device) < width, -torch.inf)
        closes = (token == end) & total.isfinite()
        for row, slot in closes.nonzero().tolist():
            reached = total[row, slot].item() / length_penalty(length, alpha)
            best[row] = max(best[row], (reached, tokens[row, slot, given:-1].tolist()))
        width = width - closes.sum(1, keepdim=True)
        total = total.masked_fill(closes, -torch.inf)
        if not total.isfinite().any():
            break
    open_ones = tokens.take_along_dim(total.argmax(1)[:, None, None], 1)[:, 0, given:].tolist()
    return [found if reached > -torch.inf else cut for (reached, found), cut in zip(best, open_ones, strict=True)]


def length_penalty(length: int, alpha: float) -> float:
    """Wu et al., equation 14: what the logarithm of a probability is divided by, for tokens with the closing one."""
    return float(((5 + length) / 6) ** alpha)


@torch.no_grad()
def translate(
    network: Transformer, source: Tensor, *, start: int, end: int, beam: int = 4, alpha: float = 0.6
) -> list[list[int]]:
    """Beam search with a Transformer in evaluation mode; a beam of 1 is greedy search.

    Sources (batch, length) of token numbers give lists without ``start`` and ``end``, of up to 50 tokens more than the
    source is long (section 6.1). The decoder runs over the whole prefix for each new token.
    """
    memory = network.encode(source).repeat_interleave(beam, dim=0)
    sources = source.repeat_interleave(beam, dim=0)
    prefix = source.new_full((len(source), 1), start)
    return beam_search(
        lambda tokens: network.score(network.decode(tokens, memory, sources)[:, -1]),
        prefix,
        end=end,
        longest=source.shape[1] + 50,
        beam=beam,
        alpha=alpha,
    )


def _until(end: int, tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
