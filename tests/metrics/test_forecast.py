"""Golden tests against utilsforecast, hand-computed cases, and what a NaN does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from statewise.metrics import forecast as metrics

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    history = rng.normal(10, 3, size=120)
    actual = rng.normal(10, 3, size=48)
    point = actual + rng.normal(0, 2, size=48)
    quantiles = point[:, None] + np.array([-3.0, -1.5, 0.0, 1.5, 3.0])
    return history, actual, point, quantiles


@pytest.fixture(scope="module")
def frames(sample):
    pd = pytest.importorskip("pandas")
    history, actual, point, quantiles = sample
    train = pd.DataFrame({"unique_id": "a", "ds": np.arange(120), "y": history})
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(120, 168), "y": actual, "m": point})
    for column, level in enumerate(LEVELS):
        frame[f"q{level:g}"] = quantiles[:, column]
    frame["m-lo-80"], frame["m-hi-80"] = frame["q0.1"], frame["q0.9"]
    return train, frame


def test_point_scores_equal_utilsforecast(sample, frames):
    losses = pytest.importorskip("utilsforecast.losses")
    history, actual, point, _ = sample
    train, frame = frames
    scale = metrics.seasonal_naive_error(history, 24)
    assert metrics.mae(actual, point) == pytest.approx(losses.mae(frame, ["m"])["m"][0], abs=1e-12)
    assert metrics.rmse(actual, point) == pytest.approx(losses.rmse(frame, ["m"])["m"][0], abs=1e-12)
    assert metrics.smape(actual, point) == pytest.approx(200 * losses.smape(frame, ["m"])["m"][0], abs=1e-10)
    assert metrics.mase(actual, point, scale) == pytest.approx(
        losses.mase(frame, ["m"], 24, train)["m"][0], abs=1e-12
    )


def test_interval_scores_equal_utilsforecast(sample, frames):
    losses = pytest.importorskip("utilsforecast.losses")
    _, actual, _, quantiles = sample
    _, frame = frames
    names, levels = {"m": [f"q{level:g}" for level in LEVELS]}, np.array(LEVELS)
    assert metrics.pinball(actual, quantiles[:, 1], 0.25) == pytest.approx(
        losses.quantile_loss(frame, {"m": "q0.25"}, q=0.25)["m"][0], abs=1e-12
    )
    assert metrics.crps(actual, quantiles, LEVELS) == pytest.approx(
        2 * losses.mqloss(frame, names, levels)["m"][0], abs=1e-12
    )
    assert metrics.wql(actual, quantiles, LEVELS) == pytest.approx(
        losses.scaled_crps(frame, names, levels)["m"][0], abs=1e-12
    )
    assert metrics.coverage(actual, quantiles[:, 0], quantiles[:, -1]) == pytest.approx(
        losses.coverage(frame, ["m"], 80)["m"][0], abs=1e-12
    )


def test_worked_example():
    actual, point = [1.0, 2.0, 4.0, 0.0], [2.0, 2.0, 1.0, 0.0]
    assert metrics.mae(actual, point) == 1.0
    assert metrics.rmse(actual, point) == pytest.approx(np.sqrt(10 / 4))
    assert metrics.mase(actual, point, 2.0) == 0.5
    assert metrics.smape(actual, point) == pytest.approx((200 / 3 + 0 + 120 + 0) / 4)
    assert metrics.pinball([10.0, 10.0], [8.0, 13.0], 0.9) == pytest.approx((0.9 * 2 + 0.1 * 3) / 2)
    assert metrics.coverage([1.0, 2.0, 3.0, 9.0], 1.0, 3.0) == 0.75
    assert metrics.width([1.0, np.nan], [0.0, 0.0], [2.0, 100.0]) == 2.0
    assert metrics.seasonal_naive_error([1.0, 5.0, 3.0, 4.0], 2) == 1.5


def test_nan_actuals_are_ignored_and_counted():
    actual, point = np.array([[1.0, np.nan], [3.0, np.nan]]), np.array([[2.0, 7.0], [3.0, np.nan]])
    assert metrics.scored(actual) == 2
    assert metrics.scored(actual, axis=0).tolist() == [2, 0]
    assert metrics.mae(actual, point) == 0.5
    assert metrics.mae(actual, point, axis=0).tolist() == [0.5, pytest.approx(np.nan, nan_ok=True)]
    assert np.isnan(metrics.rmse([np.nan], [1.0]))
    assert metrics.seasonal_naive_error([1.0, np.nan, 3.0, 4.0, 7.0], 2) == 3.0


def test_nan_forecast_of_a_real_actual_makes_the_score_nan():
    actual, broken = [1.0, 2.0], [1.0, np.nan]
    assert np.isnan(metrics.mae(actual, broken))
    assert np.isnan(metrics.smape(actual, broken))
    assert np.isnan(metrics.coverage(actual, broken, 3.0))
    assert np.isnan(metrics.crps(actual, np.array([[1.0, 2.0], [np.nan, 2.0]]), (0.1, 0.9)))


def test_constant_history_has_no_mase():
    assert metrics.seasonal_naive_error(np.ones(10), 2) == 0.0
    assert np.isnan(metrics.mase([1.0], [2.0], 0.0))
    assert metrics.mase([1.0, 1.0], [2.0, 2.0], [0.0, 4.0]) == 0.25
    assert np.isnan(metrics.seasonal_naive_error([1.0, 2.0], 24))


def test_wql_is_free_of_units_and_nan_for_all_zero_actuals(sample):
    _, actual, _, quantiles = sample
    assert metrics.wql(1000 * actual, 1000 * quantiles, LEVELS) == pytest.approx(
        float(metrics.wql(actual, quantiles, LEVELS))
    )
    assert np.isnan(metrics.wql([0.0], [[1.0]], (0.5,)))


values = arrays(np.float64, (3, 5), elements=st.floats(-1e3, 1e3, allow_subnormal=False))


@given(values, values)
def test_properties(actual, point):
    assert metrics.crps(actual, point[..., None], (0.5,)) == pytest.approx(float(metrics.mae(actual, point)))
    assert 0 <= metrics.smape(actual, point) <= 200 + 1e-9
    assert metrics.rmse(actual, point) >= metrics.mae(actual, point) - 1e-9
    by_row = metrics.mae(actual, point, axis=1)
    assert by_row.shape == (3,)
    assert by_row.mean() == pytest.approx(float(metrics.mae(actual, point)))
