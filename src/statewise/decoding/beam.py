"""Beam search over any recurrence of tokens: the n best hypotheses of many sentences at once.

A finished hypothesis Y, its end mark counted, is worth

    log P(Y) / lp(Y) + cp(Y)      lp(Y) = ((5 + |Y|) / 6)^α
                                  cp(Y) = β Σ_s log min(Σ_t p_t,s, 1)    over the steps s of the source

(Wu et al. 2016, equation 14). A sentence is done when no live hypothesis can still be worth more than its
n-th best finished one: log-probabilities only fall, lp grows to at most that of the longest hypothesis that
is allowed, and cp is at most 0. So, with a beam that is wide enough, nothing better is ever missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ConfigError
from statewise.decoding.constraints import forced, within_length, without_repeats
from statewise.state import State

# tokens [N], the state of N rows, the shared state of B rows (N / B neighbours each) to log-probabilities
# [N, V], attention [N, S] (S may be 0) and the next state
Step = Callable[[Tensor, State, State], tuple[Tensor, Tensor, State]]

_SEEN = 1e-6  # least attention that a source step counts as having had: the logarithm of none is infinite


@dataclass(frozen=True)
class BeamConfig:
    """How to search. `length_penalty` is α, `coverage_penalty` β, both 0 for plain log-probability.

    `beam` hypotheses are kept at every step, the `n_best` finished ones are given back. `block_ngram` n lets
    no n-gram come twice (0: all may). `min_length` and `max_length` count tokens before the end mark.
    Raises ConfigError.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    block_ngram: int = 0
    min_length: int = 0
    max_length: int = 100

    def __post_init__(self) -> None:
        for name, low in (
            ("beam", 1),
            ("n_best", 1),
            ("block_ngram", 0),
            ("min_length", 0),
            ("max_length", 0),
        ):
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want {low} or more.")
        for name in ("length_penalty", "coverage_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want a number of at least 0.")
        if self.n_best > self.beam:
            raise ConfigError(f"n_best: got {self.n_best}, want at most the beam, {self.beam}.")
        if self.min_length > self.max_length:
            raise ConfigError(
                f"min_length: got {self.min_length}, want at most max_length, {self.max_length}."
            )


class Hypothesis(NamedTuple):
    """One finished hypothesis, its end mark left out."""

    tokens: tuple[int, ...]
    log_prob: float  # of the tokens and the end
    score: float  # what hypotheses are ranked by
    attention: Tensor  # [T + 1, S], the end's at the bottom


@dataclass
class _Finished:
    """The best finished hypotheses of one sentence, no two with the same key."""

    wanted: int
    key: Callable[[tuple[int, ...]], Hashable]
    found: dict[Hashable, Hypothesis] = field(default_factory=dict)

    def add(self, one: Hypothesis) -> None:
        key = self.key(one.tokens)
        if key not in self.found or one.score > self.found[key].score:
            self.found[key] = one

    def best(self) -> list[Hypothesis]:
        return sorted(self.found.values(), key=lambda one: -one.score)[: self.wanted]

    @property
    def bar(self) -> float:
        """What a hypothesis must be worth to enter."""
        best = self.best()
        return best[-1].score if len(best) == self.wanted else -math.inf


class _Live(NamedTuple):
    """The live hypotheses of B sentences, K each; dead ones have a log-probability of -inf."""

    log_prob: Tensor  # [B, K]
    tokens: Tensor  # [B, K, t]
    attention: Tensor  # [B, K, t, S]


def length_penalty(length: Any, alpha: float) -> Any:
    """((5 + length) / 6)^α, of hypotheses with their end mark."""
    return ((5.0 + length) / 6.0) ** alpha


@torch.no_grad()
def beam_search(
    step: Step,
    state: State,
    config: BeamConfig = BeamConfig(),
    *,
    begin: int,
    end: int,
    shared: State = (),
    sentences: int | None = None,
    max_lengths: Tensor | None = None,
    prefix: Tensor | None = None,
    source_lengths: Tensor | None = None,
    key: Callable[[tuple[int, ...]], Hashable] = tuple,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence, best first; fewer where the beam held no more.

    `state` has one row per sentence, as has `shared`, which no step changes (the source): it is not copied
    for the beams. `max_lengths` [B] bounds each sentence further. `prefix` [B, P] forces the first tokens, -1
    where it forces nothing. `source_lengths` [B] says which columns of the attention coverage counts. `key`
    says which hypotheses are one: of those only the best is given.
    """
    batch = states.batch_size(state) if sentences is None else sentences
    largest = torch.full((batch,), config.max_length)
    if max_lengths is not None:
        largest = torch.minimum(largest, max_lengths)
    if prefix is not None:
        largest = torch.maximum(largest, (prefix >= 0).sum(dim=1))
    finished = [_Finished(config.n_best, key) for _ in range(batch)]
    search = _Search(step, config, begin, end, prefix, source_lengths, finished)
    return search.run(_Open(torch.arange(batch), largest), state, shared)


@dataclass(frozen=True)
class _Open:
    """Sentences that are not done: their numbers [B] and the most tokens of each [B]."""

    sentences: Tensor
    largest: Tensor

    def __len__(self) -> int:
        return len(self.sentences)

    def take(self, rows: Tensor) -> _Open:
        return _Open(self.sentences[rows], self.largest[rows])


@dataclass(frozen=True)
class _Search:
    """One call of `beam_search`: what stays the same over its steps, and the finished hypotheses."""

    step: Step
    config: BeamConfig
    begin: int
    end: int
    prefix: Tensor | None
    source_lengths: Tensor | None
    finished: Sequence[_Finished]

    def run(self, open_: _Open, state: State, shared: State) -> list[list[Hypothesis]]:
        batch = len(open_)
        none = torch.zeros(batch, 1, 0, dtype=torch.int64)
        live = _Live(torch.zeros(batch, 1), none, torch.zeros(batch, 1, 0, 0))
        while len(open_):
            live, state, parents = self._advance(live, state, shared, open_)
            keep = self._still_open(live, open_)
            state = states.take(state, parents[keep].flatten())
            live = _Live(*(part[keep] for part in live))
            if len(keep) < len(open_):
                shared, open_ = states.take(shared, keep), open_.take(keep)
        return [one.best() for one in self.finished]

    def _advance(self, live: _Live, state: State, shared: State, open_: _Open) -> tuple[_Live, State, Tensor]:
        """One more token: what ends is put away, the best others live on, each with its row of `state`."""
        batch, beams, time = live.tokens.shape
        last = live.tokens[:, :, -1] if time else torch.full((batch, beams), self.begin)
        log_probs, attention, state = self.step(last.flatten(), state, shared)
        log_probs = self._allowed(log_probs, live, open_)
        total = live.log_prob.unsqueeze(2) + log_probs.view(batch, beams, -1)
        seen = attention.view(batch, beams, 1, -1)
        seen = torch.cat((live.attention, seen), dim=2) if time else seen
        size = total.shape[2]
        # Twice the beam: where all ends are among them, enough others are left to live on.
        score, place = total.flatten(1).topk(min(2 * self.config.beam, beams * size), dim=1)
        parent, token = place // size, place % size
        ends = (token == self.end) & score.isfinite()
        ends[:, self.config.beam :] = False
        for b, rank in ends.nonzero().tolist():
            beam = int(parent[b, rank])
            self._put_away(int(open_.sentences[b]), live.tokens[b, beam], score[b, rank], seen[b, beam])
        score, order = score.masked_fill(token == self.end, -math.inf).topk(
            min(self.config.beam, score.shape[1]), dim=1
        )
        parent, token = parent.gather(1, order), token.gather(1, order)
        row = torch.arange(batch).unsqueeze(1)
        tokens = torch.cat((live.tokens[row, parent], token.unsqueeze(2)), dim=2)
        return _Live(score, tokens, seen[row, parent]), state, parent + row * beams

    def _allowed(self, log_probs: Tensor, live: _Live, open_: _Open) -> Tensor:
        """Log-probabilities [N, V] under the constraints; a forced beginning goes before all others."""
        beams, time = live.tokens.shape[1:]
        config, plain = self.config, log_probs
        log_probs = without_repeats(log_probs, live.tokens.flatten(0, 1), config.block_ngram)
        longest = open_.largest.repeat_interleave(beams)
        log_probs = within_length(log_probs, time, config.min_length, longest, self.end)
        if self.prefix is None or time >= self.prefix.shape[1]:
            return log_probs
        wanted = self.prefix[open_.sentences, time].repeat_interleave(beams)
        return torch.where((wanted >= 0).unsqueeze(1), forced(plain, wanted), log_probs)

    def _put_away(self, sentence: int, tokens: Tensor, log_prob: Tensor, attention: Tensor) -> None:
        """A finished hypothesis of a sentence, with what it is worth."""
        worth = float(log_prob) / length_penalty(len(tokens) + 1, self.config.length_penalty)
        if self.config.coverage_penalty:
            steps = None if self.source_lengths is None else int(self.source_lengths[sentence])
            covered = attention.sum(dim=0)[:steps].clamp(_SEEN, 1.0)
            worth += self.config.coverage_penalty * float(covered.log().sum())
        one = Hypothesis(tuple(tokens.tolist()), float(log_prob), worth, attention.clone())
        self.finished[sentence].add(one)

    def _still_open(self, live: _Live, open_: _Open) -> Tensor:
        """Which rows of the batch have a live hypothesis that can still enter the n best."""
        most = length_penalty(open_.largest.double() + 1, self.config.length_penalty)
        future = live.log_prob.amax(dim=1).double() / most
        bars = [self.finished[sentence].bar for sentence in open_.sentences.tolist()]
        possible: Tensor = future > torch.tensor(bars, dtype=torch.float64)
        return possible.nonzero().squeeze(1)
