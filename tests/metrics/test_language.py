"""Scores of language models in cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from statewise.core.errors import ShapeError
from statewise.metrics.language import (
    bits_per_unit,
    hit_at_k,
    keystrokes_saved,
    perplexity,
    ranks,
    reciprocal_rank,
)


def test_perplexity_is_the_size_of_a_fair_die() -> None:
    assert perplexity(np.full(10, math.log(6))) == pytest.approx(6)
    assert perplexity([math.log(2), math.log(8)]) == pytest.approx(4)
    assert math.isnan(perplexity([]))


def test_bits_are_counted_by_what_was_written() -> None:
    assert bits_per_unit([math.log(4), math.log(2)], 3) == pytest.approx(1.0)
    with pytest.raises(ShapeError, match=r"^bits_per_unit: got 0 units, want at least 1.$"):
        bits_per_unit([1.0], 0)


def test_ranks_count_equals_against_the_model() -> None:
    scores = [[0.1, 0.5, 0.4], [0.2, 0.2, 0.2]]
    assert ranks(scores, [2, 0]).tolist() == [2, 3]


def test_hits() -> None:
    assert hit_at_k([1, 3, 6], 3) == pytest.approx(2 / 3)
    assert reciprocal_rank([1, 2, 4]) == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert math.isnan(hit_at_k([], 1))
    assert math.isnan(reciprocal_rank([]))


def test_keystrokes() -> None:
    assert keystrokes_saved(4, 16) == pytest.approx(0.75)
    with pytest.raises(ShapeError, match=r"^keystrokes_saved: got 0 letters, want at least 1.$"):
        keystrokes_saved(0, 0)
