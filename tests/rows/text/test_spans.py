"""Spans as conlleval reads them: worked cases, odd ones too, and the way there and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import DataError
from statewise.rows.text.spans import (
    Span,
    are_spans,
    labels_of,
    legality,
    scheme_labels,
    scheme_of,
    spans,
    to_bio,
    to_bioes,
    types_of,
)

# What conlleval counts as spans, worked out by hand from its rules for the start and the end of a chunk.
CASES = [
    ("O O", []),
    ("B-a I-a O", [(0, 2, "a")]),
    ("B-a B-a", [(0, 1, "a"), (1, 2, "a")]),
    ("B-a I-b", [(0, 1, "a"), (1, 2, "b")]),  # another type starts a span, whatever the prefix
    ("O I-a I-a", [(1, 3, "a")]),  # inside after outside starts one
    ("I-a", [(0, 1, "a")]),
    ("I-a I-b I-b", [(0, 1, "a"), (1, 3, "b")]),
    ("I-a B-a I-a", [(0, 1, "a"), (1, 3, "a")]),
    ("B-a O I-a", [(0, 1, "a"), (2, 3, "a")]),
    ("S-a S-a O S-b", [(0, 1, "a"), (1, 2, "a"), (3, 4, "b")]),
    ("B-a I-a E-a", [(0, 3, "a")]),
    ("B-a E-a E-a", [(0, 2, "a"), (2, 3, "a")]),  # an end after an end is a span of its own
    ("E-a", [(0, 1, "a")]),
    ("S-a I-a", [(0, 1, "a"), (1, 2, "a")]),
    ("E-a I-a", [(0, 1, "a"), (1, 2, "a")]),
    ("B-a S-a", [(0, 1, "a"), (1, 2, "a")]),
    ("I-a E-b", [(0, 1, "a"), (1, 2, "b")]),
    ("B-a", [(0, 1, "a")]),  # never closed
    ("B-x-y I-x-y", [(0, 2, "x-y")]),  # a type may hold the mark itself
    ("B I O B", [(0, 2, ""), (3, 4, "")]),  # spans without a type
    ("", []),
]


@pytest.mark.parametrize(("labels", "want"), CASES)
def test_spans_are_those_of_conlleval(labels: str, want: list[tuple[int, int, str]]) -> None:
    assert spans(labels.split()) == [Span(*span) for span in want]


@pytest.mark.parametrize(
    ("labels", "bio", "bioes"),
    [
        ("O I-a I-a", "O B-a I-a", "O B-a E-a"),
        ("B-a I-a I-a O B-b", "B-a I-a I-a O B-b", "B-a I-a E-a O S-b"),
        ("E-a E-a", "B-a B-a", "S-a S-a"),
    ],
)
def test_conversion(labels: str, bio: str, bioes: str) -> None:
    assert to_bio(labels.split()) == bio.split()
    assert to_bioes(labels.split()) == bioes.split()


LABELS = st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in ("a", "b"))]), max_size=8)


@given(LABELS)
def test_both_schemes_hold_the_same_spans(labels: list[str]) -> None:
    found = spans(labels)
    assert spans(to_bio(labels)) == found
    assert spans(to_bioes(labels)) == found
    assert to_bio(to_bioes(labels)) == to_bio(labels)
    assert labels_of(found, len(labels), "bio") == to_bio(labels)


@given(LABELS)
def test_what_conversion_gives_is_legal(labels: list[str]) -> None:
    for scheme, convert in (("bio", to_bio), ("bioes", to_bioes)):
        names = scheme_labels(["a", "b"], scheme)
        start, follow, end = legality(names, scheme)
        places = [names.index(label) for label in convert(labels)]
        if places:
            assert start[places[0]]
            assert end[places[-1]]
        assert all(follow[a, b] for a, b in itertools.pairwise(places))


def test_what_is_illegal() -> None:
    names = scheme_labels(["a", "b"], "bio")
    assert names == ["O", "B-a", "I-a", "B-b", "I-b"]
    start, follow, end = legality(names, "bio")
    assert start.tolist() == [True, True, False, True, False]
    assert end.all()
    np.testing.assert_array_equal(follow[:, names.index("I-a")], [False, True, True, False, False])
    names = scheme_labels(["a"], "bioes")
    start, follow, end = legality(names, "bioes")
    assert names == ["O", "B-a", "I-a", "E-a", "S-a"]
    assert start.tolist() == [True, True, False, False, True]
    assert end.tolist() == [True, False, False, True, True]
    assert follow[names.index("B-a")].tolist() == [False, False, True, True, False]
    assert follow[names.index("E-a")].tolist() == [True, True, False, False, True]


def test_what_labels_say_of_their_scheme() -> None:
    assert are_spans(["O", "B-a", "I-a"])
    assert not are_spans(["O"])
    assert not are_spans(["NOUN", "O"])
    assert not are_spans(["B-"])
    assert scheme_of(["O", "B-a"]) == "bio"
    assert scheme_of(["O", "S-a"]) == "bioes"
    assert types_of(["O", "B-b", "I-a"]) == ["a", "b"]


def test_a_label_that_is_none() -> None:
    with pytest.raises(DataError) as error:
        spans(["O", "X-a"])
    assert str(error.value) == "labels: got 'X-a', want 'O' or a type after B-, I-, E- or S-."


@pytest.mark.parametrize("wrong", [[Span(0, 2, "a"), Span(1, 3, "b")], [Span(2, 5, "a")], [Span(-1, 1, "a")]])
def test_spans_that_do_not_fit(wrong: list[Span]) -> None:
    with pytest.raises(DataError, match=r"spans: .* overlaps another or leaves the 3 tokens\."):
        labels_of(wrong, 3, "bio")
