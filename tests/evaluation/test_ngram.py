"""Kneser-Ney n-grams: a case worked by hand, and probabilities that are some."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statewise.core.errors import ConfigError
from statewise.evaluation.ngram import NGram

SEQUENCES = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=4).filter(any)


def test_a_case_worked_by_hand() -> None:
    """a b a b c with bigrams and the discount ½; m marks the beginning.

    Bigrams: m a, a b (twice), b a, b c. Different items before: a {m, b} 2, b {a} 1, c {b} 1, so c() = 4.
    p(a) = (2 - ½)/4 + (3·½/4)·⅓ = ½, p(b) = p(c) = ½/4 + ⅛ = ¼.
    p(b | a) = (2 - ½)/2 + (½/2)·¼ = 13/16;  p(a | b) = ½/2 + (1/2)·½ = ½;  p(c | b) = ¼ + ½·¼ = 3/8.
    p(a | m) = ½/1 + ½·½ = ¾;  c was never followed by anything: p(b | c) = p(b) = ¼.
    """
    a, b, c = 0, 1, 2
    model = NGram([[a, b, a, b, c]], 3, order=2, discounts=(0.5, 0.5, 0.5))
    assert np.exp(-model.nats([[a, b, a, b, c]])) == pytest.approx([3 / 4, 13 / 16, 1 / 2, 13 / 16, 3 / 8])
    assert np.exp(-model.nats([[c, b]]))[1] == pytest.approx(1 / 4)
    assert model.distribution([b]) == pytest.approx([1 / 2, 1 - 1 / 2 - 3 / 8, 3 / 8])


def test_the_discounts_of_chen_and_goodman() -> None:
    """Single items in one sequence: n1 = 4, n2 = 2, n3 = 1, n4 = 1, so Y = 4 / 8."""
    counts = [1, 1, 1, 1, 2, 2, 3, 4]
    sequence = [item for item, count in enumerate(counts) for _ in range(count)]
    model = NGram([sequence], 8, order=1)
    one, two, three, more = 1 - 2 * 0.5 * 2 / 4, 2 - 3 * 0.5 * 1 / 2, 3 - 4 * 0.5 * 1 / 1, 1.0
    taken = 4 * one + 2 * two + three + more
    total = sum(counts)
    want = [(1 - one + taken / 8) / total, (2 - two + taken / 8) / total, (3 - three + taken / 8) / total]
    assert model.distribution([])[[0, 4, 6]] == pytest.approx(want)


@settings(max_examples=30, deadline=None)
@given(SEQUENCES, st.integers(1, 4), st.lists(st.integers(0, 4), max_size=6))
def test_probabilities_sum_to_one_and_agree_with_the_surprisals(
    sequences: list[list[int]], order: int, history: list[int]
) -> None:
    model = NGram(sequences, 5, order)
    made = model.distribution(history)
    assert made.sum() == pytest.approx(1.0)
    assert (made > 0).all()
    for item in range(5):
        assert np.exp(-model.nats([[*history, item]])[-1]) == pytest.approx(made[item])


def test_sequences_do_not_run_into_each_other() -> None:
    together, apart = NGram([[0, 1], [2, 3]], 4, 3), NGram([[2, 3], [0, 1]], 4, 3)
    assert together.nats([[2, 3], [0, 1]]) == pytest.approx(apart.nats([[2, 3], [0, 1]]))
    assert together.nats([[1, 2]])[1] > together.nats([[1, 3]])[1] - 1e-12  # 2 began, 3 did not follow 1


def test_what_was_seen_is_likelier_the_longer_the_history_that_is_read() -> None:
    text = np.tile([0, 1, 2, 0, 3, 4], 200)
    perplexity = [np.exp(NGram([text], 5, order).nats([text]).mean()) for order in (1, 2, 3)]
    assert perplexity[0] > perplexity[1] > perplexity[2]
    assert perplexity[2] < 1.1


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"^order: got 0, want at least 1.$"):
        NGram([[1]], 3, order=0)
    with pytest.raises(ConfigError, match=r"^sequences: got no items, want some to count.$"):
        NGram([[]], 3)
