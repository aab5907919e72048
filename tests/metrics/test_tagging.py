"""Span scores equal to conlleval's on cases worked out by hand."""

from __future__ import annotations

import pytest

from statewise.core.errors import DataError
from statewise.metrics.tagging import SpanScore, scores_of, span_scores, token_accuracy
from statewise.rows.text.spans import Span


def test_a_sentence_worked_out_by_hand() -> None:
    wanted = [["B-per", "I-per", "O", "B-loc", "O", "B-org"]]
    found = [["B-per", "I-per", "O", "B-loc", "I-loc", "O"]]
    scores = span_scores(wanted, found)
    # Right: the person. The place found is one token too long, the organisation is not found.
    assert scores.overall == SpanScore(correct=1, found=2, wanted=3)
    assert (scores.overall.precision, scores.overall.recall) == (0.5, pytest.approx(1 / 3))
    assert scores.overall.f1 == pytest.approx(0.4)
    assert scores.by_type == {
        "loc": SpanScore(0, 1, 1),
        "org": SpanScore(0, 0, 1),
        "per": SpanScore(1, 1, 1),
    }


def test_the_type_counts_and_sentences_stay_apart() -> None:
    wanted = [["O", "B-a"], ["I-a", "O"]]  # the second starts a span of its own, as conlleval has it
    found = [["O", "B-b"], ["B-a", "O"]]
    assert span_scores(wanted, found).overall == SpanScore(1, 2, 2)


def test_odd_labels_are_read_as_conlleval_reads_them() -> None:
    wanted = [["B-a", "I-a", "O", "B-b"]]
    found = [["I-a", "I-a", "O", "I-b"]]  # illegal, and right
    assert span_scores(wanted, found).overall == SpanScore(2, 2, 2)
    found = [["B-a", "I-b", "O", "B-b"]]  # a change of type splits the first span
    assert span_scores(wanted, found).overall == SpanScore(1, 3, 2)


def test_schemes_may_differ() -> None:
    assert span_scores([["B-a", "I-a"]], [["B-a", "E-a"]]).overall.f1 == 1.0


def test_nothing_found_and_nothing_wanted() -> None:
    score = span_scores([["O"]], [["O"]]).overall
    assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)
    assert scores_of([[Span(0, 1, "a")]], [[]]).overall == SpanScore(0, 0, 1)


def test_token_accuracy() -> None:
    assert token_accuracy([["A", "B"], ["C"]], [["A", "A"], ["C"]]) == pytest.approx(2 / 3)
    assert token_accuracy([], []) != token_accuracy([], [])  # no token: NaN


def test_ragged_labels_are_refused() -> None:
    with pytest.raises(DataError) as error:
        token_accuracy([["A"], ["A", "B"]], [["A"], ["A"]])
    assert str(error.value) == "labels: 1 for 2 tokens (sentence 1)."
    with pytest.raises(DataError) as error:
        span_scores([["O"]], [])
    assert str(error.value) == "labels: 0 sentences, want 1."
