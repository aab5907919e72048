"""The likeliest ways to end the word that is being typed: a small beam search over items."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from statewise import state as states
from statewise.decoding.sampling import Step
from statewise.state import State


class Ending(NamedTuple):
    """The letters of a word from where the search began, and its log-probability given those that are typed.

    That the word ends there is part of it.
    """

    text: str
    log_prob: float


@dataclass(frozen=True)
class Lexicon:
    """Items as they stand in a text; "" for one that is never written. With `whole` every item is a word."""

    surfaces: tuple[str, ...]
    whole: bool = False

    @cached_property
    def opens(self) -> Tensor:
        """[V] whether an item ends the word before it."""
        return torch.tensor([not surface or not _inside(surface[0]) for surface in self.surfaces])

    @cached_property
    def inside(self) -> list[int]:
        """The items that go on with a word."""
        return torch.nonzero(~self.opens).flatten().tolist()

    def spelling(self, letters: str) -> list[int]:
        """Items that begin with `letters`."""
        first = bisect_left(self._sorted, (letters, -1))
        rest = (self._sorted[place] for place in range(first, len(self._sorted)))
        return [number for _, number in takewhile(lambda one: one[0].startswith(letters), rest)]

    def within(self, letters: str) -> list[int]:
        """Items that `letters` begin with, and that are shorter."""
        starts = (letters[:end] for end in range(1, len(letters)))
        return [self._numbers[start] for start in starts if start in self._numbers]

    @cached_property
    def _sorted(self) -> list[tuple[str, int]]:
        return sorted((surface, number) for number, surface in enumerate(self.surfaces) if surface)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {surface: number for number, surface in enumerate(self.surfaces) if surface}


class _Open(NamedTuple):
    """A word that has begun."""

    text: str
    log_prob: float
    row: int  # in the states


def endings(
    step: Step,
    log_probs: Tensor,
    state: State,
    lexicon: Lexicon,
    typed: str = "",
    k: int = 3,
    reach: int = 16,
) -> list[Ending]:
    """The `k` likeliest words, best first, that begin with the letters `typed` and go on after them.

    `log_probs` [1, V] and `state` stand before those letters; where they are read already, `typed` is empty
    and an ending is the rest of the word. The letters may be spelled by any items, so what is found does not
    depend on how an open word would be cut. A word has at most `reach` items, so the cost is bounded.
    """
    width = max(2 * k, 4)
    open_words, done = [_Open("", 0.0, 0)], dict[str, float]()
    reached = [0.0] if not typed else list[float]()  # log-probabilities of the ways to spell what is typed
    for _ in range(reach):
        short = [one for one in open_words if len(one.text) < len(typed)]
        reached += [_spelled(one, log_probs, lexicon, typed) for one in short]
        grown = sorted(_grown(open_words, log_probs, lexicon, typed, width), key=lambda one: -one[1])[:width]
        if lexicon.whole:
            done = {text: score for text, score, _, _ in grown if text != typed}
            break
        best = sorted(done.values(), reverse=True)[:k]
        if not grown or (len(best) == k and best[-1] >= grown[0][1]):  # what grows only gets less likely
            break
        tokens = torch.tensor([token for *_, token in grown])
        log_probs, state = step(tokens, states.take(state, torch.tensor([row for _, _, row, _ in grown])))
        open_words = [_Open(text, score, row) for row, (text, score, _, _) in enumerate(grown)]
        ends = log_probs.masked_fill(~lexicon.opens, -math.inf).logsumexp(-1).tolist()
        for one, end in zip(open_words, ends, strict=True):
            if one.text[len(typed) :].strip():
                done[one.text] = max(done.get(one.text, -math.inf), one.log_prob + end)
    given = float(torch.tensor(reached).logsumexp(0)) if reached else 0.0
    ranked = sorted(done.items(), key=lambda item: -item[1])
    return [Ending(text, score - given) for text, score in ranked[:k]]


def _grown(
    open_words: Sequence[_Open], log_probs: Tensor, lexicon: Lexicon, typed: str, width: int
) -> list[tuple[str, float, int, int]]:
    """Every word with each of its likeliest next items: text, log-probability, row, item."""
    made = []
    for one in open_words:
        missing = typed[len(one.text) :]
        allowed = lexicon.inside
        if missing or lexicon.whole:
            allowed = lexicon.spelling(missing) + lexicon.within(missing)
        if not allowed:
            continue
        places = torch.tensor(allowed)
        scores, order = log_probs[one.row][places].topk(min(width, len(allowed)))
        for score, place in zip(scores.tolist(), order.tolist(), strict=True):
            token = allowed[place]
            made.append((one.text + lexicon.surfaces[token], one.log_prob + score, one.row, token))
    return made


def _spelled(one: _Open, log_probs: Tensor, lexicon: Lexicon, typed: str) -> float:
    """The log-probability of the items that spell all that is missing of what is typed."""
    items = torch.tensor(lexicon.spelling(typed[len(one.text) :]), dtype=torch.int64)
    return one.log_prob + float(log_probs[one.row][items].logsumexp(0)) if len(items) else -math.inf


def _inside(letter: str) -> bool:
    """Whether a letter stands inside a word."""
    return letter.isalnum() or letter in "'’_"
