"""Beam search: against exhaustive search on toy models, its constraints, its errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ConfigError
from statewise.decoding.beam import BeamConfig, Hypothesis, beam_search, length_penalty

BEGIN, END = 1, 0
LONGEST, SOURCE = 4, 3


class Toy:
    """Random log-probabilities of V tokens that depend on all that was written, and random attention.

    Its state is a number [B, 1] that names the history; its shared state names the sentence.
    """

    def __init__(self, seed: int, vocabulary: int = 4, sharpness: float = 2.0) -> None:
        self.seed, self.vocabulary, self.sharpness = seed, vocabulary, sharpness

    def given(self, history: int, sentence: int) -> tuple[Tensor, Tensor]:
        chance = torch.Generator().manual_seed(1_000_003 * self.seed + 7919 * sentence + history)
        logits = self.sharpness * torch.randn(self.vocabulary, generator=chance)
        logits[BEGIN] = -math.inf
        return logits.log_softmax(0), torch.randn(SOURCE, generator=chance).softmax(0)

    def after(self, history: int, token: int) -> int:
        return history * self.vocabulary + token + 1

    def step(self, tokens: Tensor, state: Tensor, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        beams = len(state) // len(shared)
        histories = [
            0 if int(token) == BEGIN else self.after(int(row), int(token))
            for token, row in zip(tokens, state[:, 0], strict=True)
        ]
        sentences = shared.repeat_interleave(beams).tolist()
        pairs = [self.given(one, sentence) for one, sentence in zip(histories, sentences, strict=True)]
        log_probs, attention = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        return log_probs, attention, torch.tensor(histories).unsqueeze(1)

    def exhaustive(
        self, sentence: int, config: BeamConfig, least: int = 0
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Every sequence that may be written, with its worth, best first."""
        words = [token for token in range(self.vocabulary) if token not in (BEGIN, END)]
        lengths = range(least, config.max_length + 1)
        every = itertools.chain.from_iterable(itertools.product(words, repeat=n) for n in lengths)
        return sorted(((self.worth(sentence, tokens, config), tokens) for tokens in every), reverse=True)

    def worth(self, sentence: int, tokens: tuple[int, ...], config: BeamConfig) -> float:
        history, log_prob, seen = 0, 0.0, torch.zeros(SOURCE)
        for token in (*tokens, END):
            log_probs, attention = self.given(history, sentence)
            log_prob, seen = log_prob + float(log_probs[token]), seen + attention
            history = self.after(history, token)
        coverage = config.coverage_penalty * float(seen.clamp(max=1.0).log().sum())
        return log_prob / length_penalty(len(tokens) + 1, config.length_penalty) + coverage


def search(toy: Toy, config: BeamConfig, sentences: int = 1, **more: object) -> list[list[Hypothesis]]:
    start, shared = torch.zeros(sentences, 1, dtype=torch.int64), torch.arange(sentences)
    found: list[list[Hypothesis]] = beam_search(
        toy.step, start, config, begin=BEGIN, end=END, shared=shared, **more
    )  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("seed", range(200))
def test_a_wide_beam_is_exhaustive_search(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    alpha, beta = ((0.0, 0.0), (1.0, 0.0), (0.6, 0.0), (2.0, 0.4))[seed % 4]
    toy = Toy(seed, 4, float(0.5 + 3 * torch.rand((), generator=chance)))
    wide = 4 * 2**LONGEST
    config = BeamConfig(wide, 3, alpha, beta, max_length=LONGEST)
    for sentence, hypotheses in enumerate(search(toy, config, 2)):
        want = toy.exhaustive(sentence, config)[:3]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in want]
        for one, (worth, _) in zip(hypotheses, want, strict=True):
            assert one.score == pytest.approx(worth, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_search_stops_before_the_longest_length_once_nothing_can_win(alpha: float) -> None:
    steps = 0

    def certain(tokens: Tensor, state: Tensor, shared: object) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal steps
        steps += 1
        log_probs = torch.tensor([0.0, -math.inf, -30.0, -30.0]).expand(len(tokens), -1)
        return log_probs, torch.zeros(len(tokens), 0), state

    config = BeamConfig(2, 1, alpha, max_length=50)
    (found,) = beam_search(certain, torch.zeros(1, 1), config, begin=BEGIN, end=END)
    assert found[0].tokens == ()
    assert steps == 1


def test_a_batch_gives_what_its_sentences_give_alone() -> None:
    toy, config = Toy(5, 6), BeamConfig(3, 2, max_length=6)
    together = search(toy, config, 4)
    for sentence in range(4):
        (alone,) = beam_search(
            toy.step,
            torch.zeros(1, 1, dtype=torch.int64),
            config,
            begin=BEGIN,
            end=END,
            shared=torch.tensor([sentence]),
        )
        assert [one.tokens for one in alone] == [one.tokens for one in together[sentence]]


def test_hypotheses_differ_and_one_key_is_given_once() -> None:
    toy, config = Toy(3, 5, 0.5), BeamConfig(40, 8, max_length=4)
    (found,) = search(toy, config)
    assert len({one.tokens for one in found}) == len(found) == 8
    (by_length,) = search(toy, config, key=len)
    assert sorted(len(one.tokens) for one in by_length) == [0, 1, 2, 3, 4]


def test_lengths_are_kept() -> None:
    toy = Toy(11, 5)
    config = BeamConfig(200, 5, min_length=2, max_length=3)
    (found,) = search(toy, config)
    assert [one.tokens for one in found] == [t for _, t in toy.exhaustive(0, config, least=2)[:5]]
    both = search(toy, config, 2, max_lengths=torch.tensor([1, 3]))
    assert {len(one.tokens) for one in both[0]} == {1}
    assert {len(one.tokens) for one in both[1]} <= {2, 3}


def test_a_forced_beginning_is_kept_and_counted() -> None:
    toy, config = Toy(7, 5), BeamConfig(200, 4, max_length=4)
    free, bound = search(toy, config, 2, prefix=torch.tensor([[-1, -1], [3, 2]]))
    assert [one.tokens for one in free] == [t for _, t in toy.exhaustive(0, config)[:4]]
    want = [(worth, tokens) for worth, tokens in toy.exhaustive(1, config) if tokens[:2] == (3, 2)][:4]
    assert [one.tokens for one in bound] == [tokens for _, tokens in want]
    assert bound[0].score == pytest.approx(want[0][0], abs=1e-4)


def test_no_ngram_comes_twice() -> None:
    def loops(tokens: Tensor, state: Tensor, shared: object) -> tuple[Tensor, Tensor, Tensor]:
        favourite = 2 + (tokens == 2).long()
        logits = torch.full((len(tokens), 5), -4.0).scatter(1, favourite.unsqueeze(1), 4.0)
        return logits.log_softmax(1), torch.zeros(len(tokens), 0), state

    start, limits = torch.zeros(1, 1), {"min_length": 8, "max_length": 8}
    (plain,) = beam_search(loops, start, BeamConfig(4, **limits), begin=BEGIN, end=END)
    assert plain[0].tokens == (2, 3) * 4
    (blocked,) = beam_search(loops, start, BeamConfig(4, block_ngram=2, **limits), begin=BEGIN, end=END)
    pairs = list(itertools.pairwise(blocked[0].tokens))
    assert len(set(pairs)) == len(pairs) == 7


def test_attention_stands_for_every_token_and_the_end() -> None:
    toy, config = Toy(2, 5), BeamConfig(3, 3, max_length=5)
    for one in search(toy, config)[0]:
        history = 0
        for row, token in zip(one.attention, (*one.tokens, END), strict=True):
            assert torch.equal(row, toy.given(history, 0)[1])
            history = toy.after(history, token)


def test_growing_states_and_shared_ones_follow_the_beams() -> None:
    """The state is all tokens so far: what each row remembers must be what it wrote."""

    def remembers(tokens: Tensor, state: Tensor, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state = torch.cat((state[:, 1:], tokens.unsqueeze(1)), dim=1)
        code = (state * torch.tensor([1, 7, 49, 343])).sum(1) + shared.repeat_interleave(
            len(state) // len(shared)
        )
        rows = [torch.randn(5, generator=torch.Generator().manual_seed(int(one))) for one in code]
        return torch.stack(rows).log_softmax(1), torch.zeros(len(tokens), 0), state

    start = torch.zeros(3, 4, dtype=torch.int64)
    shared = torch.tensor([1000, 2000, 3000])
    config = BeamConfig(4, 4, max_length=7)
    for row, hypotheses in enumerate(
        beam_search(remembers, start, config, begin=BEGIN, end=END, shared=shared)
    ):
        for one in hypotheses:
            state, log_prob = start[:1], 0.0
            for before, token in itertools.pairwise((BEGIN, *one.tokens, END)):
                log_probs, _, state = remembers(torch.tensor([before]), state, shared[row : row + 1])
                log_prob += float(log_probs[0, token])
            assert one.log_prob == pytest.approx(log_prob, abs=1e-4)


def test_no_sentences_give_no_hypotheses() -> None:
    assert search(Toy(0), BeamConfig(), 0) == []
    assert states.batch_size(torch.zeros(0, 1)) == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"beam": 0}, "beam: got 0, want 1 or more."),
        ({"n_best": 6}, "n_best: got 6, want at most the beam, 5."),
        ({"length_penalty": -1.0}, "length_penalty: got -1.0, want a number of at least 0."),
        ({"min_length": 9, "max_length": 8}, "min_length: got 9, want at most max_length, 8."),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        BeamConfig(**settings)  # type: ignore[arg-type]
    assert str(error.value) == text
