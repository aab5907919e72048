"""Scores of taggers beside the majority label and each word's most frequent tag."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from statewise.evaluation.score_report import MODEL, Metric, ScoreReport, Values, merged
from statewise.metrics.classification import expected_calibration_error
from statewise.metrics.tagging import SpanScores, scores_of, span_scores, token_accuracy
from statewise.models.tag import TagModel
from statewise.rows.cells import aligned
from statewise.rows.records import records
from statewise.rows.tag import sentences_of
from statewise.rows.text.spans import spans
from statewise.rows.text.word_features import normal
from statewise.tasks.tagging import Tagging, Wanted

BASELINE, MAJORITY = "most frequent tag", "majority"
_SUFFIX = 4  # the longest ending that the baseline looks at
Labels = Sequence[Sequence[str]]

_ACCURACY = Metric("accuracy")
_SPANS = (Metric("f1"), Metric("precision"), Metric("recall"), _ACCURACY)
_SURE = Metric("ece", higher_is_better=False)


class FrequentTag:
    """Each word's most frequent label; of an unknown word that of its longest known ending, else of all."""

    def __init__(self, sentences: Labels, labels: Labels) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for words, marks in zip(sentences, labels, strict=True):
            for word, label in zip(words, marks, strict=True):
                for key in (f"={word}", f"={normal(word)}", *_endings(word)):
                    counts[key][label] += 1
        self.best = {key: _first(found) for key, found in counts.items()}

    def labels(self, words: Sequence[str]) -> list[str]:
        """A label for every word."""
        return [self._label(word) for word in words]

    def _label(self, word: str) -> str:
        keys = (f"={word}", f"={normal(word)}", *_endings(word))
        return next(self.best[key] for key in keys if key in self.best)


def _first(counts: Counter[str]) -> str:
    """The most frequent label; of several the first of the alphabet."""
    return min(counts, key=lambda label: (-counts[label], label))


def _endings(word: str) -> list[str]:
    """The word's endings, longest first, down to none; capitalised words have their own."""
    plain, first = normal(word), "X" if word[:1].isupper() else "x"
    return [f"{first}-{plain[-size:]}" for size in range(min(_SUFFIX, len(plain)), 0, -1)] + [first, ""]


def most_frequent(train: Any, data: Any, columns: tuple[str, str]) -> float:
    """Accuracy of the baseline on rows with columns (tokens, labels), learned from training rows."""
    known = aligned(records(train, columns), *columns, "tag")
    sentences, labels = aligned(records(data, columns), *columns, "tag")
    baseline = FrequentTag(*known)
    return token_accuracy(labels, [baseline.labels(words) for words in sentences])


def evaluate_tagger(models: Sequence[TagModel], data: Any, train: Any) -> ScoreReport:
    """Accuracy of tokens, or scores of spans as conlleval counts them, with the calibration error."""
    first = models[0]
    rows = first.task.rows(data)
    sentences, wanted = sentences_of(rows, first.codec, labelled=True)
    parts = []
    for model in models:
        found = model.tagged(rows, Wanted(threshold=model.codec.threshold))
        parts.append(_scores(model, wanted, found))
    majority = str(first.codec.names[int(np.argmax(first.codec.labels.counts))])
    systems: dict[str, Mapping[str, Values]] = {MODEL: merged(parts)}
    if train is not None:
        known = sentences_of(first.task.rows(train), first.codec, labelled=True)
        baseline = FrequentTag(*known)
        answers: Labels = [baseline.labels(words) for words in sentences]
        systems[BASELINE] = merged([_plain(first, wanted, answers)])
    systems[MAJORITY] = merged([_plain(first, wanted, [[majority] * len(words) for words in sentences])])
    metrics = (*(_SPANS if first.codec.learned != "none" else (_ACCURACY,)), _SURE)
    return ScoreReport("tag", len(rows), metrics, systems, _notes(first, rows, wanted))


def _scores(model: TagModel, wanted: Labels, found: Sequence[Tagging]) -> dict[str, float]:
    """Scores of labels and spans, and how far the likeliest labels' probabilities are off."""
    names = model.labels
    likeliest = [[names[label] for label in each.probabilities.argmax(1)] for each in found]
    right = [a == b for x, y in zip(wanted, likeliest, strict=True) for a, b in zip(x, y, strict=True)]
    sure = np.concatenate([each.probabilities.max(1) for each in found])
    scores = _plain(model, wanted, [each.labels for each in found])
    return {**scores, "ece": expected_calibration_error(np.array(right), sure)}


def _plain(model: TagModel, wanted: Labels, found: Labels) -> dict[str, float]:
    scores = {"accuracy": token_accuracy(wanted, found)}
    if model.codec.learned == "none":
        return scores
    overall = span_scores(wanted, found).overall
    return {"f1": overall.f1, "precision": overall.precision, "recall": overall.recall, **scores}


def by_type(model: TagModel, data: Any) -> SpanScores:
    """Scores of a model's spans, overall and type by type. Raises DataError."""
    rows = model.task.rows(data)
    _, wanted = sentences_of(rows, model.codec, labelled=True)
    found = model.tagged(rows, Wanted(threshold=model.codec.threshold))
    return scores_of([spans(row) for row in wanted], [[each.span for each in a.spans] for a in found])


def _notes(model: TagModel, rows: Any, wanted: Labels) -> tuple[str, ...]:
    counted = f"{sum(map(len, wanted)):,} tokens."
    if model.codec.learned == "none":
        return (counted,)
    least = model.codec.threshold
    how = f"spans of probability {least:g} or more" if least else "the spans of the likeliest labels"
    return (f"{counted} Answered: {how}.",)
