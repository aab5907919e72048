"""Shapley values against the definition and its axioms."""

from itertools import permutations

import numpy as np
import pytest

from statewise.explain.shapley import shapley_values


def by_orders(values: np.ndarray) -> np.ndarray:
    """Mean gain of each player over all orders of arrival (the original definition)."""
    players = len(values).bit_length() - 1
    found = np.zeros((players, *values.shape[1:]))
    orders = list(permutations(range(players)))
    for order in orders:
        there = 0
        for player in order:
            found[player] += values[there | 1 << player] - values[there]
            there |= 1 << player
    return found / len(orders)


@pytest.mark.parametrize("players", [1, 2, 5])
def test_equals_the_mean_over_all_orders(players: int) -> None:
    values = np.random.default_rng(0).normal(size=(2**players, 3))
    np.testing.assert_allclose(shapley_values(values), by_orders(values), atol=1e-12)


def test_contributions_and_baseline_add_up_to_the_whole() -> None:
    values = np.random.default_rng(1).normal(size=(2**9, 4))
    np.testing.assert_allclose(values[0] + shapley_values(values).sum(axis=0), values[-1], atol=1e-12)


def test_gloves_game() -> None:
    # One left glove (player 0), two right ones; a pair is worth 1: 2/3, 1/6, 1/6.
    values = np.array([float(s & 1 and s & 6 != 0) for s in range(8)])
    np.testing.assert_allclose(shapley_values(values), [2 / 3, 1 / 6, 1 / 6])


def test_a_dummy_gets_exactly_nothing_and_equals_get_the_same() -> None:
    coalitions = np.arange(16)
    size = (coalitions & 1) + (coalitions >> 1 & 1)  # players 0 and 1 count alike, 2 and 3 not at all
    found = shapley_values(np.tanh(size.astype(float)))
    assert found[0] == pytest.approx(found[1])
    assert found[2] == found[3] == 0.0


def test_nobody() -> None:
    assert shapley_values(np.array([3.0])).shape == (0,)
