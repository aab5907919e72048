"""The exact probability of spans under a random field: a forward sum that is held to the span's labels.

With F the sum of all beginnings and G that of all endings (`Posterior`), a span over tokens i … j has

    p = F_i[first] · Π (scores of its labels on the way) · G_j[last] / Z

where in BIO, whose last label does not say that the span ends, G sums over what does not carry it on. A model
of illegal labels would hold spans in other spellings too; `legality` rules these out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from statewise.nn.crf import Chain, Posterior
from statewise.rows.text.spans import Scheme, Span

Array = NDArray[np.float64]


class ScoredSpan(NamedTuple):
    """A span and its probability."""

    span: Span
    probability: float


class Lattice(NamedTuple):
    """One sentence of T tokens in float64: all that its span probabilities are made of."""

    emissions: Array  # [T, K]
    start: Array  # [K]
    transitions: Array  # [K, K]
    end: Array  # [K]
    ahead: Array  # [T, K]
    back: Array  # [T, K]
    total: float


def lattices(emissions: Tensor, chain: Chain, found: Posterior, lengths: Tensor) -> list[Lattice]:
    """The sentences of a batch, one by one."""
    scores = [part.detach().double().numpy() for part in chain]
    each = [part.detach().double().numpy() for part in (emissions, found.ahead, found.back, found.total)]
    return [
        Lattice(
            each[0][row, :length],
            *(scores[0], scores[1], scores[2]),
            *(each[1][row, :length], each[2][row, :length]),
            float(each[3][row]),
        )
        for row, length in enumerate(lengths.tolist())
    ]


def likely_spans(lattice: Lattice, labels: Sequence[str], scheme: Scheme, least: float) -> list[ScoredSpan]:
    """All spans of a sentence whose probability is at least `least`, the likeliest first.

    `labels` names the columns of the lattice. A beginning that is itself less likely than `least` is left,
    and so is a span that can only grow less likely, which keeps the search short.
    """
    index = {label: number for number, label in enumerate(labels)}
    found: list[ScoredSpan] = []
    for kind in sorted({label[2:] for label in labels if label != "O"}):
        search = _bio if scheme == "bio" else _bioes
        for start, stop, log in search(lattice, index, kind, float(np.log(least))):
            found.append(ScoredSpan(Span(start, stop, kind), min(float(np.exp(log)), 1.0)))
    return sorted(found, key=lambda each: (-each.probability, each.span))


def chosen(found: Sequence[ScoredSpan], threshold: float) -> list[ScoredSpan]:
    """The likeliest spans of at least `threshold` that do not overlap, in the order of the sentence."""
    kept: list[ScoredSpan] = []
    for each in sorted(found, key=lambda each: (-each.probability, each.span)):
        free = all(each.span.stop <= other.span.start or other.span.stop <= each.span.start for other in kept)
        if each.probability >= threshold and free:
            kept.append(each)
    return sorted(kept, key=lambda each: each.span)


def span_probability(lattice: Lattice, labels: Sequence[str], scheme: Scheme, span: Span) -> float:
    """The probability of one span; 0 for a type that the labels do not have."""
    index = {label: number for number, label in enumerate(labels)}
    if f"B-{span.type}" not in index:
        return 0.0
    search = _bio if scheme == "bio" else _bioes
    rest = search(lattice, index, span.type, -np.inf, span.start)
    return next((min(float(np.exp(log)), 1.0) for _, stop, log in rest if stop == span.stop), 0.0)


Found = list[tuple[int, int, float]]  # start, stop, log probability


def _bioes(
    lattice: Lattice, index: dict[str, int], kind: str, least: float, only: int | None = None
) -> Found:
    begin, inside, end, single = (index[f"{prefix}-{kind}"] for prefix in "BIES")
    posterior = lattice.ahead + lattice.back - lattice.total
    found: Found = []
    for start in _starts(lattice, only):
        if posterior[start, single] >= least:
            found.append((start, start + 1, posterior[start, single]))
        weight, before = lattice.ahead[start, begin], begin
        for place in range(start + 1, len(posterior)):
            if weight + lattice.back[place - 1, before] - lattice.total < least:
                break
            log = weight + _move(lattice, before, end, place) + lattice.back[place, end] - lattice.total
            if log >= least:
                found.append((start, place + 1, log))
            weight, before = weight + _move(lattice, before, inside, place), inside
    return found


def _bio(lattice: Lattice, index: dict[str, int], kind: str, least: float, only: int | None = None) -> Found:
    begin, inside = index[f"B-{kind}"], index[f"I-{kind}"]
    found: Found = []
    for start in _starts(lattice, only):
        weight, before = lattice.ahead[start, begin], begin
        for place in range(start, len(lattice.ahead)):
            if weight + lattice.back[place, before] - lattice.total < least:
                break
            log = weight + _closing(lattice, before, inside, place) - lattice.total
            if log >= least:
                found.append((start, place + 1, log))
            if place + 1 < len(lattice.ahead):
                weight, before = weight + _move(lattice, before, inside, place + 1), inside
    return found


def _starts(lattice: Lattice, only: int | None) -> range:
    return range(len(lattice.ahead)) if only is None else range(only, only + 1)


def _move(lattice: Lattice, before: int, label: int, place: int) -> float:
    """The scores of going on to `label` at `place`."""
    return float(lattice.transitions[before, label] + lattice.emissions[place, label])


def _closing(lattice: Lattice, label: int, inside: int, place: int) -> float:
    """log Σ of the endings after `label` at `place` that do not carry the span on."""
    if place + 1 == len(lattice.ahead):
        return float(lattice.end[label])
    after = lattice.transitions[label] + lattice.emissions[place + 1] + lattice.back[place + 1]
    return float(np.logaddexp.reduce(np.delete(after, inside)))
