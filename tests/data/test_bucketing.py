"""Every row once, budgets kept, little padding, seeded order; padding and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError, ShapeError
from statewise.data.bucketing import buckets, pad, padding_share

LENGTHS = st.lists(st.integers(0, 50), max_size=60)


@given(LENGTHS, st.integers(0, 7), st.integers(0, 80), st.integers(0, 3))
def test_every_row_once_and_the_limits_kept(lengths: list[int], size: int, budget: int, seed: int) -> None:
    if not size and not budget:
        size = 1
    for rng in (np.random.default_rng(seed), None):
        batches = buckets(lengths, batch_size=size, batch_tokens=budget, rng=rng)
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        for batch in batches:
            longest = max(lengths[row] for row in batch)
            assert not size or len(batch) <= size
            assert not budget or len(batch) * longest <= budget or len(batch) == 1


def test_the_same_seed_gives_the_same_order_and_the_next_epoch_another() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    first, again = np.random.default_rng(1), np.random.default_rng(1)
    one, two = (buckets(lengths, batch_size=8, rng=rng) for rng in (first, again))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    next_epoch = buckets(lengths, batch_size=8, rng=first)
    assert not all(np.array_equal(a, b) for a, b in zip(one, next_epoch, strict=True))
    assert first.bit_generator.state != again.bit_generator.state
    lasts = [int(lengths[batch].max()) for batch in one]
    assert lasts != sorted(lasts)


def test_without_a_generator_from_short_to_long() -> None:
    assert [batch.tolist() for batch in buckets([3, 1, 2, 1], batch_size=2)] == [[1, 3], [2, 0]]
    assert [batch.tolist() for batch in buckets([5, 2, 2, 9], batch_tokens=6)] == [[1, 2], [0], [3]]


def test_of_several_sequences_the_longest_counts() -> None:
    lengths = [[1, 6], [6, 1], [2, 2], [1, 1]]
    assert [batch.tolist() for batch in buckets(lengths, batch_tokens=6)] == [[3, 2], [0], [1]]


def test_like_lengths_leave_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    rng = np.random.default_rng(0)
    assert padding_share(lengths, buckets(lengths, batch_tokens=1000, rng=rng)) < 0.02
    assert padding_share(lengths, np.split(rng.permutation(2000), 100)) > 0.4
    assert padding_share([], []) == 0.0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "batch_size: got 0, want a number of rows, or batch_tokens for a budget of steps."),
        ({"batch_size": -1}, "batch_size: got -1, want at least 1, or 0 for no limit."),
        ({"batch_tokens": -5}, "batch_tokens: got -5, want at least 1, or 0 for no limit."),
    ],
)
def test_limits_that_are_none(settings: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        buckets([1, 2], **settings)  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_lengths_of_another_shape() -> None:
    with pytest.raises(ShapeError, match=r"^lengths: got shape \[1, 1, 1\], want \[N\] or \[N, K\]\.$"):
        buckets(np.ones((1, 1, 1)), batch_size=1)


@given(st.lists(st.lists(st.integers(1, 9), max_size=8), min_size=1))
def test_padding_keeps_every_row(rows: list[list[int]]) -> None:
    padded, lengths = pad(rows)
    assert padded.dtype == lengths.dtype == torch.int64
    assert padded.shape == (len(rows), max(map(len, rows)))
    for row, held, length in zip(rows, padded.tolist(), lengths.tolist(), strict=True):
        assert held[:length] == row
        assert held[length:] == [0] * (padded.shape[1] - length)


def test_padding_of_vectors_with_another_value() -> None:
    rows = [np.ones((2, 3), dtype=np.float32), np.ones((0, 3), dtype=np.float32)]
    padded, lengths = pad(rows, float("nan"))
    assert padded.shape == (2, 2, 3)
    assert padded.dtype == torch.float32
    assert lengths.tolist() == [2, 0]
    assert padded[1].isnan().all()


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "pad: got no array, want at least one."),
        (
            [np.zeros((1, 2)), np.zeros((1, 3))],
            "pad: got shapes [(1, 2), (1, 3)], want one after the first axis.",
        ),
        ([np.zeros(())], "pad: got shapes [()], want one after the first axis."),
    ],
)
def test_what_cannot_be_padded(rows: list[Any], text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        pad(rows)
    assert str(caught.value) == text
