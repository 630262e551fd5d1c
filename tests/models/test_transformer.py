"""The Transformer: against torch's layers, what masks hide, how it learns and how it decodes."""

import json
import math
from itertools import pairwise, product

import pytest
import torch
from torch import nn
from write_state_keys import SNAPSHOT, keys_of

from random_networks import randomize
from riffle import registry, zoo
from riffle.card import card_of
from riffle.layers.transformer import causal_mask, sinusoids
from riffle.models.decoding import beam_search, greedy, length_penalty, translate
from riffle.models.transformer import Transformer
from riffle.training.translation import smoothed_cross_entropy, warm_up_rate
from riffle.weights.adopt import adopt
from riffle.weights.native import Record, load_folder, save_folder

TOLERANCE = 1e-9
PAD, START, END, FIRST = 0, 1, 2, 3
TINY = {"width": 16, "hidden": 24, "heads": 4, "layers": 2, "vocabulary": 13}


@pytest.fixture(scope="module")
def network():
    return randomize(Transformer(**TINY))


@pytest.fixture(scope="module")
def source():
    return torch.tensor([[5, 6, 7, 8, 9], [3, 4, 12, PAD, PAD]])


@pytest.fixture(scope="module")
def target():
    return torch.tensor([[START, 9, 8, 7], [START, 12, 4, PAD]])


def test_equals_torchs_layers_between_the_papers_embedding_and_scores(network, source, target):
    encoder_layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, norm_first=False)
    decoder_layer = nn.TransformerDecoderLayer(16, 4, 24, batch_first=True, norm_first=False)
    encoder = randomize(nn.TransformerEncoder(encoder_layer, 2, enable_nested_tensor=False))
    decoder = randomize(nn.TransformerDecoder(decoder_layer, 2), seed=1)
    ours = Transformer(**TINY).double().eval()
    ours.embedding.weight.data.copy_(network.embedding.weight)
    x, y = (
        ours.embedding.weight[tokens] * 4 + sinusoids(tokens.shape[1], 16).double()  # sqrt(16)
        for tokens in (source, target)
    )
    for mine, theirs in zip(ours.encoder, encoder.layers, strict=True):
        adopt(mine, theirs, inputs=(x,))
    for mine, theirs in zip(ours.decoder, decoder.layers, strict=True):
        adopt(mine, theirs, inputs=(y, x))
    with torch.no_grad():
        memory = encoder(x, src_key_padding_mask=source == PAD)
        states = decoder(y, memory, tgt_mask=~causal_mask(4), memory_key_padding_mask=source == PAD)
        expected = states @ ours.embedding.weight.T
        assert (ours(source, target) - expected).abs().max() < TOLERANCE


def test_a_later_token_never_changes_an_earlier_score(network, source, target):
    with torch.no_grad():
        before = network(source, target)
        for place in range(1, target.shape[1]):
            other = target.clone()
            other[:, place] = 11
            change = (network(source, other) - before).abs().amax((0, 2))
            assert change[:place].max() == 0
            assert change[place] > 0.01


def test_padding_of_the_source_changes_nothing(network, source, target):
    with torch.no_grad():
        alone = network(source[1:, :3], target[1:])
        assert (network(source, target)[1:] - alone).abs().max() < TOLERANCE
        longer = torch.cat((source, torch.full((2, 4), PAD)), dim=1)
        assert (network(longer, target)[1:] - alone).abs().max() < TOLERANCE
        embedding = network.embedding.weight[PAD].clone()
        network.embedding.weight[PAD] += 1
        memory = network.encode(source)
        network.embedding.weight[PAD] = embedding
        assert (network.encode(source) - memory)[source != PAD].abs().max() < TOLERANCE


def test_one_embedding_serves_thrice(network):
    assert [name for name, p in network.named_parameters() if p.shape[0] == TINY["vocabulary"]] == ["embedding.weight"]


def test_every_parameter_gets_a_gradient(source, target):
    torch.manual_seed(0)
    network = Transformer(**TINY)
    smoothed_cross_entropy(network(source, target[:, :-1]), target[:, 1:], padding=PAD).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_multiply_accumulates_by_hand():
    """Eight projections in a decoder layer, four in an encoder layer; two products in each attention."""
    length, d, hidden, vocabulary = 128, 512, 2048, 37_000
    attention = 4 * length * d**2 + 2 * length**2 * d
    feed_forward = 2 * length * d * hidden
    expected = 6 * (attention + feed_forward) + 6 * (2 * attention + feed_forward) + length * d * vocabulary
    row = zoo.count("transformer_base")
    assert (row["macs"], row["size"]) == (expected, length)


@pytest.mark.parametrize("name", registry.names("transformer_*"))
def test_names_in_the_weights_stay(name):
    with torch.device("meta"):
        assert keys_of(zoo.create(name)) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))[name]


def test_it_takes_no_pictures():
    with pytest.raises(ValueError, match="transformer_base takes no num_classes"):
        zoo.create("transformer_base", num_classes=10)
    with pytest.raises(ValueError, match="transformer_base takes no in_channels"):
        zoo.create("transformer_base", in_channels=1)


def test_saved_and_loaded(tmp_path, source, target):
    network = registry.build("transformer_base", **TINY).eval()
    save_folder(network, tmp_path / "saved", Record())
    loaded = load_folder(tmp_path / "saved")
    assert card_of(loaded).arguments["vocabulary"] == 13
    assert torch.equal(loaded(source, target), network(source, target))


def test_export_with_any_batch_and_any_length(network, source, target):
    batch, longer, long = (torch.export.Dim(name) for name in ("batch", "target_length", "source_length"))
    program = torch.export.export(
        network, (source, target), dynamic_shapes=({0: batch, 1: long}, {0: batch, 1: longer})
    )
    source, target = source.repeat(2, 2), target.repeat(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(source, target), network(source, target))


def test_smoothed_cross_entropy_by_hand():
    """Of three tokens the right one has 0.9 and a third of 0.1, the others the same third; padding does not count."""
    probability = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.9, 0.05, 0.05]]], dtype=torch.float64)
    target = torch.tensor([[1, 2, PAD]])
    first = -(0.1 / 3 * math.log(0.7) + (0.9 + 0.1 / 3) * math.log(0.2) + 0.1 / 3 * math.log(0.1))
    second = -(0.1 / 3 * math.log(0.1) + 0.1 / 3 * math.log(0.3) + (0.9 + 0.1 / 3) * math.log(0.6))
    loss = smoothed_cross_entropy(probability.log(), target, padding=PAD)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-12)


def test_warm_up_by_hand():
    assert warm_up_rate(1, width=512) == pytest.approx(512**-0.5 * 4000**-1.5)
    assert warm_up_rate(4000, width=512) == pytest.approx(1 / math.sqrt(512 * 4000))  # the highest: 0.0007
    assert warm_up_rate(16_000, width=512) == pytest.approx(warm_up_rate(4000, width=512) / 2)
    with pytest.raises(ValueError, match="steps count from 1; got 0"):
        warm_up_rate(0, width=512)


def chain(table: list[list[float]]):
    """Scores of a Markov chain: the next token depends on the last one only. Token 0 closes."""
    log_probability = torch.tensor(table, dtype=torch.float64).log()
    return lambda tokens: log_probability[tokens[:, -1]]


#         end  a    b     after
GARDEN = [
    [1.0, 0.0, 0.0],  # the end
    [0.4, 0.3, 0.3],  # a
    [0.9, 0.1, 0.0],  # b
    [0.0, 0.6, 0.4],  # the start
]


def test_a_beam_finds_what_greedy_search_misses():
    score, prefix = chain(GARDEN), torch.tensor([[3]])
    assert greedy(score, prefix, end=0, longest=5) == [[1]]  # 0.6 * 0.4
    assert beam_search(score, prefix, end=0, longest=5, beam=2) == [[2]]  # 0.4 * 0.9


def test_the_length_penalty_decides():
    score, prefix = chain([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5]]), torch.tensor([[2]])
    assert length_penalty(1, 0.6) == 1
    assert length_penalty(7, 0.6) == pytest.approx(2**0.6)
    assert beam_search(score, prefix, end=0, longest=3, alpha=0.0) == [[]]  # 0.5 against 0.45
    assert beam_search(score, prefix, end=0, longest=3, alpha=1.0) == [[1]]  # log 0.5 against 6/7 log 0.45


#          end  a    b    c    after
NARROWING = [
    [1.0, 0.0, 0.0, 0.0],  # the end
    [0.0, 0.0, 0.6, 0.4],  # a
    [0.1, 0.0, 0.9, 0.0],  # b
    [0.9, 0.0, 0.0, 0.1],  # c
    [0.4, 0.6, 0.0, 0.0],  # the start
]


def test_a_candidate_that_closes_takes_its_place_along():
    """Of two places one closes at once; the other goes to a b, and a c, which would win, is out."""
    score, prefix = chain(NARROWING), torch.tensor([[4]])
    assert beam_search(score, prefix, end=0, longest=3, beam=2, alpha=2.0) == [[]]
    assert beam_search(score, prefix, end=0, longest=3, beam=3, alpha=2.0) == [[1, 3]]


def random_chain(seed: int, tokens: int = 3):
    table = torch.randn(tokens, tokens, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    return chain(table.tolist())


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_is_greedy_search(seed):
    score, prefix = random_chain(seed, 6), torch.tensor([[1], [2], [3]])
    expected = greedy(score, prefix, end=0, longest=9)
    assert beam_search(score, prefix, end=0, longest=9, beam=1) == expected
    assert max(len(tokens) for tokens in expected) > 0


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_wide_enough_finds_the_best_of_all(seed, alpha):
    score, prefix = random_chain(seed), torch.tensor([[1], [2]])

    def reached(start: int, middle: tuple[int, ...]) -> float:
        tokens = [start, *middle, 0]
        log_probability = sum(score(torch.tensor([[a]]))[0, b].item() for a, b in pairwise(tokens))
        return log_probability / length_penalty(len(middle) + 1, alpha)

    every = [middle for length in range(4) for middle in product((1, 2), repeat=length)]
    best = [list(max(every, key=lambda middle: reached(start, middle))) for start in (1, 2)]
    assert beam_search(score, prefix, end=0, longest=4, beam=40, alpha=alpha) == best


def test_what_does_not_close_is_cut():
    score, prefix = chain([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1]])
    assert greedy(score, prefix, end=0, longest=3) == [[1, 1, 1]]
    assert beam_search(score, prefix, end=0, longest=3) == [[1, 1, 1]]
    with pytest.raises(ValueError, match="at least one candidate; got 0"):
        beam_search(score, prefix, end=0, longest=3, beam=0)


def test_sentences_do_not_meet_in_a_translation(network, source):
    for beam in (1, 4):
        together = translate(network, source, start=START, end=END, beam=beam)
        assert together == [translate(network, row[None], start=START, end=END, beam=beam)[0] for row in source]


def pairs(count: int, *, seed: int):
    """Eight tokens, and the same backwards between start and end."""
    source = torch.randint(FIRST, TINY["vocabulary"], (count, 8), generator=torch.Generator().manual_seed(seed))
    ends = [torch.full((count, 1), token) for token in (START, END)]
    return source, torch.cat((ends[0], source.flip(1), ends[1]), dim=1)


def test_it_learns_to_reverse():
    torch.manual_seed(0)
    network = Transformer(64, 128, 4, layers=2, vocabulary=TINY["vocabulary"], dropout=0.0)
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.98), eps=1e-9)
    for step in range(1, 351):
        optimizer.param_groups[0]["lr"] = warm_up_rate(step, width=64, warmup=300)
        source, target = pairs(64, seed=step)
        optimizer.zero_grad()
        smoothed_cross_entropy(network(source, target[:, :-1]), target[:, 1:], padding=PAD).backward()
        optimizer.step()
    network.eval()
    source, _ = pairs(300, seed=0)
    translated = translate(network, source, start=START, end=END, beam=1)
    right = sum(mine == theirs for mine, theirs in zip(translated, source.flip(1).tolist(), strict=True))
    assert right / 300 > 0.99
