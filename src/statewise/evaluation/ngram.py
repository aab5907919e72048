"""The baseline of language models: interpolated n-grams with modified Kneser-Ney smoothing.

With c(h w) the count of the n-gram of history h and item w (below the highest order: how many different items
were seen before it), c(h) its sum over w, D the discount of a count, h' the history without its oldest item:

    p(w | h) = (c(h w) - D(c(h w))) / c(h) + γ(h) p(w | h'),   γ(h) = Σ_w D(c(h w)) / c(h)

A history that was never seen says nothing, p(w | h) = p(w | h'); below the single items stands 1 / V.
Source: Chen and Goodman 1998, section 3, after Kneser and Ney 1995.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.errors import ConfigError

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


class Order(NamedTuple):
    """The n-grams of one length. The number of an n-gram is its place in `keys`."""

    keys: Ids  # [N] sorted: number of the history (an n-gram of one item less) · (V + 1) + last item
    share: Floats  # [N] (c - D) / c(h)
    backoff: Floats  # [M] γ by the number of the history


class NGram:
    """n-grams of item ids below `size`, counted in sequences, each after n - 1 marks of its beginning.

    `discounts` are those of counts of 1, of 2 and of 3 or more, for every order; by default each order's own,
    estimated from how many n-grams occur once, twice … Raises ConfigError.
    """

    def __init__(
        self, sequences: Iterable[ArrayLike], size: int, order: int = 5, discounts: Sequence[float] = ()
    ) -> None:
        if order < 1:
            raise ConfigError(f"order: got {order}, want at least 1.")
        self.size, self.order = size, order
        items, place = self._joined(sequences)
        if not (place >= order - 1).any():
            raise ConfigError("sequences: got no items, want some to count.")
        self.orders = self._counted(items, place, tuple(discounts))

    def nats(self, sequences: Iterable[ArrayLike]) -> Floats:
        """Surprisals (nats) of all items of some sequences, end to end, each given those before it."""
        items, place = self._joined(sequences)
        made, before = np.full(len(items), 1.0 / self.size), np.zeros(len(items), dtype=np.int64)
        for part in self.orders:
            seen = before >= 0
            number = _find(part.keys, np.where(seen, before * (self.size + 1) + items, -1))
            made = made * np.where(seen, part.backoff[before], 1.0)
            made += np.where(number >= 0, part.share[number], 0.0)
            before = _after_one(number)
        nats: Floats = -np.log(made[place >= self.order - 1])
        return nats

    def distribution(self, history: ArrayLike) -> Floats:
        """Probabilities [V] of what follows `history`, a sequence from its beginning."""
        items, _ = self._joined([history])
        made, base = np.full(self.size, 1.0 / self.size), self.size + 1
        for n, part in enumerate(self.orders):
            number = self._number(items[len(items) - n :])
            if number < 0:
                break
            made *= part.backoff[number]
            first, end = np.searchsorted(part.keys, [number * base, number * base + self.size])
            made[part.keys[first:end] % base] += part.share[first:end]
        return made

    def _number(self, history: Ids) -> int:
        """The number of the n-gram of these items; -1 when it was never seen."""
        number = np.zeros(1, dtype=np.int64)
        for item, part in zip(history, self.orders, strict=False):
            number = _find(part.keys, np.where(number >= 0, number * (self.size + 1) + item, -1))
        return int(number[0])

    def _joined(self, sequences: Iterable[ArrayLike]) -> tuple[Ids, Ids]:
        """All sequences end to end, each after n - 1 marks, and the place of each entry in its sequence."""
        marks = np.full(self.order - 1, self.size, dtype=np.int64)
        parts = [np.concatenate([marks, np.asarray(one, dtype=np.int64)]) for one in sequences]
        places = [np.arange(len(part)) for part in parts]
        none = np.zeros(0, dtype=np.int64)
        return np.concatenate([none, *parts]), np.concatenate([none, *places])

    def _counted(self, items: Ids, place: Ids, discounts: tuple[float, ...]) -> list[Order]:
        """Every order's n-grams: their numbers from short to long, then their counts from long to short."""
        keys, ends, numbers = [], [], [np.zeros(len(items), dtype=np.int64)]
        for n in range(1, self.order + 1):
            whole = np.flatnonzero(place >= n - 1)  # no n-gram reaches into the sequence before
            before = _after_one(numbers[-1]) if n > 1 else numbers[-1]
            found, first, number = np.unique(
                before[whole] * (self.size + 1) + items[whole], return_index=True, return_inverse=True
            )
            numbers.append(np.full(len(items), -1, dtype=np.int64))
            numbers[-1][whole] = number
            keys.append(found)
            ends.append(whole[first])
        orders = []
        for n in range(self.order, 0, -1):
            real = place >= self.order - 1
            # Each n-gram once per occurrence at the top, below it once per longer n-gram that ends in it.
            at = np.flatnonzero(real) if n == self.order else ends[n][real[ends[n]]]
            count = np.bincount(numbers[n][at], minlength=len(keys[n - 1]))
            histories = len(keys[n - 2]) if n > 1 else 1
            orders.append(_shares(keys[n - 1], count, histories, self.size + 1, discounts))
        return orders[::-1]


def _shares(keys: Ids, count: Ids, histories: int, base: int, discounts: tuple[float, ...]) -> Order:
    """Counts of n-grams to their share and the backoff of their histories."""
    table = np.array([0.0, *(discounts or _discounts(count))])
    discount = np.minimum(table[np.minimum(count, 3)], count)
    history = keys // base
    total = np.bincount(history, count, histories)
    taken = np.bincount(history, discount, histories)
    # A history that nothing but marks followed says nothing.
    backoff = np.divide(taken, total, out=np.ones(histories), where=total > 0)
    share = (count - discount) / np.maximum(total[history], 1)
    return Order(keys, share, backoff)


def _discounts(count: Ids) -> tuple[float, float, float]:
    """Of counts of 1, 2, 3 and more: Chen and Goodman 1998, equation 26; one for all where data are few."""
    n1, n2, n3, n4 = (int((count == k).sum()) for k in (1, 2, 3, 4))
    shared = n1 / (n1 + 2 * n2) if n1 else 0.5
    if not n1 or not n2 or not n3 or not n4:
        return shared, shared, shared
    wanted = 1 - 2 * shared * n2 / n1, 2 - 3 * shared * n3 / n2, 3 - 4 * shared * n4 / n3
    one, two, more = (min(max(value, 0.0), k) for k, value in enumerate(wanted, start=1))
    return one, two, more


def _find(keys: Ids, wanted: Ids) -> Ids:
    """Place of each wanted key; -1 where it is not there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _after_one(numbers: Ids) -> Ids:
    """What stands one place before; before the first there is only a mark, which nobody asks for."""
    return np.concatenate([numbers[:1] * 0 - 1, numbers[:-1]])
