"""The rules against hand-worked numbers and slow loops, and that none looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from statewise.evaluation import simple_rules as rules

nan = np.nan
last = np.array([5])


def test_naive_repeats_the_last_known_value():
    values = np.array([1.0, 2.0, 3.0, 4.0, nan, nan])
    assert rules.naive(values, np.array([1, 5]), 3).tolist() == [[2, 2, 2], [4, 4, 4]]


def test_seasonal_naive_repeats_the_season_and_steps_back_over_missing_values():
    rule = rules.seasonal_naive(3)
    assert rule(np.array([1.0, 2, 3, 4, 5, 6]), last, 4).tolist() == [[4, 5, 6, 4]]
    assert rule(np.array([1.0, 2, 3, 4, nan, 6]), last, 3).tolist() == [[4, 2, 6]]
    np.testing.assert_array_equal(rule(np.array([1.0, 2]), np.array([1]), 3), [[nan, 1, 2]])


def test_drift_continues_the_line_through_first_and_last_known_value():
    assert rules.drift(np.array([1.0, 9, 9, 9, 9, 6]), last, 2).tolist() == [[7, 8]]
    # Last value 5 at position 4, first 1 at position 0: the line is at 6 in position 5 and 7 one step ahead.
    assert rules.drift(np.array([1.0, 9, 9, 9, 5, nan]), last, 2).tolist() == [[7, 8]]
    assert rules.drift(np.array([nan, nan, nan, nan, nan, 6.0]), last, 2).tolist() == [[6, 6]]
    assert np.isnan(rules.drift(np.full(6, nan), last, 2)).all()


series = arrays(np.float64, 40, elements=st.one_of(st.just(nan), st.floats(-100, 100)))


@pytest.mark.parametrize(
    "rule", [rules.naive, rules.seasonal_naive(7), rules.drift], ids=["naive", "seasonal", "drift"]
)
@given(values=series, position=st.integers(0, 39))
def test_no_rule_and_no_interval_looks_ahead(rule, values, position):
    poisoned = values.copy()
    poisoned[position + 1 :] = 1e6
    at = np.array([position])
    if np.isnan(values[: position + 1]).all():
        return  # drift anchors at the first known value, which must not be a later one: nothing to compare
    np.testing.assert_array_equal(rule(values[: position + 1], at, 10), rule(poisoned, at, 10))
    honest = rules.with_intervals(rule, values, position, 10, (0.1, 0.5, 0.9), 50)
    leaking = rules.with_intervals(rule, poisoned, position, 10, (0.1, 0.5, 0.9), 50)
    for one, other in zip(honest, leaking, strict=True):
        np.testing.assert_array_equal(one, other)


@given(arrays(np.float64, (9, 3), elements=st.one_of(st.just(nan), st.floats(-100, 100))))
def test_column_quantiles_equal_numpy(values):
    shares = np.array([0.0, 0.2, 0.8, 1.0])
    for column, found in zip(values.T, rules.column_quantiles(values, shares), strict=True):
        known = column[~np.isnan(column)]
        wanted = np.quantile(known, shares) if len(known) else np.full(4, nan)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_intervals_are_those_of_the_residuals_and_centred():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=300))
    point, quantiles = rules.with_intervals(rules.naive, values, 299, 3, (0.1, 0.5, 0.9), 1000)
    errors = np.abs(values[3:] - values[:-3])
    assert point.tolist() == [values[-1]] * 3
    assert (quantiles[:, 1] == point).all()
    assert quantiles[2, 2] - point[2] == pytest.approx(np.quantile(errors, 0.8))
    assert point[2] - quantiles[2, 0] == pytest.approx(quantiles[2, 2] - point[2])


def test_steps_beyond_the_history_take_the_last_spread_and_none_is_nan():
    _, quantiles = rules.with_intervals(rules.naive, np.array([1.0, 2.0, 4.0]), 2, 4, (0.9,), 10)
    assert quantiles[:, 0].tolist() == pytest.approx([4 + 1.8, 4 + 3, 4 + 3, 4 + 3])
    _, quantiles = rules.with_intervals(rules.naive, np.array([1.0]), 0, 2, (0.1, 0.5), 10)
    assert quantiles[:, 1].tolist() == [1, 1]
    assert np.isnan(quantiles[:, 0]).all()
