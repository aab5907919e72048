"""Runs of tokens that training texts hold: each has a number, found token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError
from statewise.rows.text.vocabulary import PAD

Numbers = NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max  # stands after the last key, so that a search always ends at one


@dataclass(frozen=True)
class NGrams:
    """Runs of 2 … `longest` tokens, numbered from `tokens` on: below that stand the tokens themselves.

    They are a tree: a run is its start (a run one shorter, or a token) and its last token. `keys` holds for
    every run, in order, the number of its start times `tokens`, plus its last token; a run's number is its
    place there plus `tokens`. Short runs stand first, as the numbers of their starts are lower.
    """

    longest: int
    tokens: int
    keys: tuple[int, ...] = ()

    @staticmethod
    def fit(texts: Sequence[Numbers], longest: int, tokens: int, min_count: int = 1) -> NGrams:
        """The runs that texts, as ids [T] each, hold `min_count` times or more."""
        runs = NGrams(1, tokens)
        for size in range(2, longest + 1):
            line = np.concatenate([runs._longer(runs.numbers(ids)[:, -1], ids) for ids in texts])
            keys, counts = np.unique(line, return_counts=True)
            known = keys[(counts >= min_count) & (keys >= tokens)]  # less is the key of no start at all
            runs = NGrams(size, tokens, (*runs.keys, *known.tolist()))
        return runs

    @property
    def size(self) -> int:
        """How many numbers there are, those of the tokens included."""
        return self.tokens + len(self.keys)

    @cached_property
    def line(self) -> Numbers:
        """The keys and, after them, one that no run has."""
        return np.array([*self.keys, _NEVER], dtype=np.int64)

    def widened(self, tokens: int) -> NGrams:
        """The same runs where there are more tokens than before: `tokens`, the new ones last."""
        starts, last = np.divmod(np.array(self.keys, dtype=np.int64), self.tokens)
        starts = starts + np.where(starts < self.tokens, 0, tokens - self.tokens)
        return NGrams(self.longest, tokens, tuple((starts * tokens + last).tolist()))

    def numbers(self, ids: Numbers) -> Numbers:
        """The runs of 1 … `longest` tokens that end at each of ids [T], [T, longest]; 0 for none known."""
        found = [ids]
        for _ in range(1, self.longest):
            keys = self._longer(found[-1], ids)
            places = np.searchsorted(self.line, keys)
            found.append(np.where(self.line[places] == keys, places + self.tokens, PAD))
        return np.stack(found, axis=1)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: keys as steps from one to the next, which are short."""
        steps = np.diff(np.array(self.keys, dtype=np.int64), prepend=0).tolist()
        return {"longest": self.longest, "tokens": self.tokens, "steps": steps}

    @staticmethod
    def from_json(plain: Any) -> NGrams:
        """The runs `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != {"longest", "tokens", "steps"}:
            raise BundleError("n-grams: want longest, tokens and steps.")
        sizes, steps = (plain["longest"], plain["tokens"]), plain["steps"]
        if not isinstance(steps, list) or any(type(x) is not int or x < 1 for x in (*sizes, *steps)):
            raise BundleError("n-grams: want whole numbers of at least 1.")
        return NGrams(*sizes, tuple(np.cumsum(steps, dtype=np.int64).tolist()))

    def _longer(self, ends: Numbers, ids: Numbers) -> Numbers:
        """Keys [T] of the runs that go on from `ends`, those before each of ids [T], by that token."""
        return np.concatenate(([PAD], ends[:-1])) * self.tokens + ids


def log_count_ratios(numbers: Sequence[Numbers], relevant: NDArray[Any], size: int) -> NDArray[np.float64]:
    """How much more of each label's counts a number has than of the other labels' (as logarithms), [size, K].

    `numbers` are those of each text, `relevant` [N, K] says which labels it has. Source: Wang and Manning
    2012, "Baselines and Bigrams", section 2.1, with smoothing 1, one label against the rest. 0 for padding.
    """
    owner = np.repeat(np.arange(len(numbers)), [each.size for each in numbers])
    line = np.concatenate([each.ravel() for each in numbers])
    owner, line = owner[line != PAD], line[line != PAD]
    ratios = np.zeros((size, relevant.shape[1]))
    for label, there in enumerate(relevant.T.astype(np.float64)):
        inside, outside = (1.0 + np.bincount(line, there_[owner], size) for there_ in (there, 1.0 - there))
        ratios[:, label] = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    ratios[PAD] = 0.0
    return ratios
