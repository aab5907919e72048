"""Runs of tokens: which are known, their numbers, how labels share them, and what is stored."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from statewise.core.errors import BundleError
from statewise.rows.text.n_grams import NGrams, log_count_ratios

A, B, C, D = 4, 5, 6, 7
TEXTS = [np.array(text) for text in ([A, B, C], [A, B], [B, C, A, B], [D])]


def told(runs: NGrams, ids: list[int]) -> list[list[int]]:
    return runs.numbers(np.array(ids)).tolist()


def test_runs_are_numbered_after_the_tokens():
    runs = NGrams.fit(TEXTS, 3, 8)
    # A B, B C, C A, then A B C, B C A, C A B
    assert runs.size == 8 + 6
    assert told(runs, [A, B, C]) == [[A, 0, 0], [B, 8, 0], [C, 9, 11]]
    assert told(runs, [B, C, A, B]) == [[B, 0, 0], [C, 9, 0], [A, 10, 12], [B, 8, 13]]


def test_what_no_text_holds_has_no_number():
    runs = NGrams.fit(TEXTS, 3, 8)
    assert told(runs, [C, B, D]) == [[C, 0, 0], [B, 0, 0], [D, 0, 0]]
    assert told(runs, [1, A]) == [[1, 0, 0], [A, 0, 0]]


def test_rare_runs_are_left_out():
    runs = NGrams.fit(TEXTS, 3, 8, min_count=2)
    assert runs.keys == (A * 8 + B, B * 8 + C)
    assert NGrams.fit(TEXTS, 3, 8, min_count=9).numbers(TEXTS[0]).tolist() == [
        [A, 0, 0],
        [B, 0, 0],
        [C, 0, 0],
    ]


def test_tokens_alone():
    runs = NGrams.fit(TEXTS, 1, 8)
    assert (runs.size, told(runs, [A, B])) == (8, [[A], [B]])


def test_more_tokens_do_not_change_what_is_known():
    runs = NGrams.fit(TEXTS, 3, 8)
    wider = runs.widened(20)
    for text in TEXTS:
        old, new = runs.numbers(text), wider.numbers(text)
        assert (np.where(old >= 8, old + 12, old) == new).all()


def test_round_trip():
    runs = NGrams.fit(TEXTS, 3, 8)
    assert NGrams.from_json(json.loads(json.dumps(runs.to_json()))) == runs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "n-grams: want longest, tokens and steps."),
        ({"steps": [3, 0]}, "n-grams: want whole numbers of at least 1."),
        ({"longest": "2"}, "n-grams: want whole numbers of at least 1."),
    ],
)
def test_what_was_not_stored_so(change, message):
    with pytest.raises(BundleError) as error:
        NGrams.from_json(NGrams.fit(TEXTS, 2, 8).to_json() | change)
    assert str(error.value) == message


def test_log_count_ratios_by_hand():
    numbers = [np.array([[1, 0], [2, 3]]), np.array([[2, 0]])]
    ratios = log_count_ratios(numbers, np.array([[1], [0]]), 4)
    # Counts and 1 of each, of 4 numbers: 1, 2, 2, 2 of 7 against 1, 1, 2, 1 of 5.
    want = [0.0, math.log(10 / 7), math.log(5 / 7), math.log(10 / 7)]
    assert ratios[:, 0].tolist() == pytest.approx(want)
