"""Scores of labels of tokens and of the spans they mean, as pure functions.

Span scores are those of the CoNLL-2000 scorer conlleval: a span counts when start, stop and type are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from statewise.core.errors import DataError
from statewise.rows.text.spans import Span, spans


@dataclass(frozen=True)
class SpanScore:
    """Precision, recall and F1 (0 to 1; 0 where nothing was found or wanted), and the counts behind them."""

    correct: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        """Share of the found spans that are right."""
        return self.correct / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the wanted spans that were found."""
        return self.correct / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 · correct / (found + wanted)."""
        return 2 * self.correct / (self.found + self.wanted) if self.found + self.wanted else 0.0


@dataclass(frozen=True)
class SpanScores:
    """All types together (micro average), and each by itself."""

    overall: SpanScore
    by_type: Mapping[str, SpanScore]


def token_accuracy(wanted: Sequence[Sequence[Hashable]], found: Sequence[Sequence[Hashable]]) -> float:
    """Share of the tokens of all sentences whose label is right; NaN for no token at all."""
    _check(wanted, found)
    pairs = [a == b for want, got in zip(wanted, found, strict=True) for a, b in zip(want, got, strict=True)]
    return float(np.mean(pairs)) if pairs else float("nan")


def span_scores(wanted: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> SpanScores:
    """Span scores of labels in BIO or BIOES, the odd ones read as conlleval reads them."""
    _check(wanted, found)
    return scores_of([spans(labels) for labels in wanted], [spans(labels) for labels in found])


def scores_of(wanted: Sequence[Iterable[Span]], found: Sequence[Iterable[Span]]) -> SpanScores:
    """Span scores of spans, sentence by sentence."""
    want, got, right = Counter[str](), Counter[str](), Counter[str]()
    for wanted_here, found_here in zip(wanted, found, strict=True):
        a, b = set(wanted_here), set(found_here)
        want.update(span.type for span in a)
        got.update(span.type for span in b)
        right.update(span.type for span in a & b)
    by_type = {name: SpanScore(right[name], got[name], want[name]) for name in sorted(want | got)}
    return SpanScores(SpanScore(right.total(), got.total(), want.total()), by_type)


def _check(wanted: Sequence[Sequence[Hashable]], found: Sequence[Sequence[Hashable]]) -> None:
    if len(wanted) != len(found):
        raise DataError(f"labels: {len(found)} sentences, want {len(wanted)}.")
    for row, (want, got) in enumerate(zip(wanted, found, strict=True)):
        if len(want) != len(got):
            raise DataError(f"labels: {len(got)} for {len(want)} tokens (sentence {row}).")
