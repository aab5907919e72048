"""Forecast scores as pure NumPy functions.

All take `actual` and forecasts of one shape (quantiles with one more axis Q at the end) and average over
`axis` (None: everything). A NaN actual is not scored: it drops out of the average, and `scored` counts the
rest. A NaN forecast of a real actual is *not* forgiven: the score becomes NaN. An average over nothing is
NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Axis = int | tuple[int, ...] | None


def scored(actual: ArrayLike, axis: Axis = None) -> NDArray[np.int64]:
    """Number of actuals that are not NaN, the count behind every average here."""
    return np.asarray(np.sum(~np.isnan(_array(actual)), axis=axis), dtype=np.int64)


def mae(actual: ArrayLike, forecast: ArrayLike, axis: Axis = None) -> Array:
    """Mean absolute error, in units of the actuals."""
    return _mean(np.abs(_array(actual) - _array(forecast)), actual, axis)


def rmse(actual: ArrayLike, forecast: ArrayLike, axis: Axis = None) -> Array:
    """Root of the mean squared error, in units of the actuals."""
    return np.sqrt(_mean((_array(actual) - _array(forecast)) ** 2, actual, axis))


def mase(actual: ArrayLike, forecast: ArrayLike, scale: ArrayLike, axis: Axis = None) -> Array:
    """Mean absolute scaled error: |error| / `scale`, 1 is the seasonal naive (Hyndman & Koehler 2006).

    `scale` comes from `seasonal_naive_error` over the training rows and broadcasts against `actual`.
    Where it is 0 (constant history) or NaN the score is not defined and the row is not scored.
    """
    actual, scale = np.broadcast_arrays(_array(actual), _array(scale))
    defined = scale > 0
    error = np.abs(actual - _array(forecast)) / np.where(defined, scale, 1.0)
    return _mean(error, np.where(defined, actual, np.nan), axis)


def smape(actual: ArrayLike, forecast: ArrayLike, axis: Axis = None) -> Array:
    """Symmetric mean absolute percentage error on the 0–200 % scale of M4: 200 |y - f| / (|y| + |f|).

    Where both are 0 the error is 0. `utilsforecast.losses.smape` is 1/200 of it.
    """
    actual, forecast = _array(actual), _array(forecast)
    size = np.abs(actual) + np.abs(forecast)
    return _mean(200.0 * np.abs(actual - forecast) / np.where(size == 0, 1.0, size), actual, axis)


def pinball(actual: ArrayLike, quantile: ArrayLike, level: ArrayLike, axis: Axis = None) -> Array:
    """Pinball (quantile) loss in units: max(level·e, (level - 1)·e) with e = actual - quantile."""
    return _mean(_pinball(_array(actual), _array(quantile), _array(level)), actual, axis)


def crps(actual: ArrayLike, quantiles: ArrayLike, levels: Sequence[float], axis: Axis = None) -> Array:
    """Continuous ranked probability score in units: 2 × the pinball loss, averaged over `levels` [Q].

    With evenly spaced levels it tends to the CRPS integral as they get denser; with the single level 0.5 it
    is the MAE. `axis` counts the axes of `actual`.
    """
    actual = _array(actual)
    loss = _pinball(actual[..., None], _array(quantiles), np.asarray(levels, dtype=np.float64))
    return _mean(2.0 * loss.mean(axis=-1), actual, axis)


def wql(actual: ArrayLike, quantiles: ArrayLike, levels: Sequence[float], axis: Axis = None) -> Array:
    """Weighted quantile loss, without unit: 2 × summed pinball / summed |y|, averaged over `levels` [Q].

    The 'scaled CRPS' of GluonTS and utilsforecast, the 'CRPS' of GIFT-Eval. NaN where all actuals are 0.
    """
    size = _mean(np.abs(_array(actual)), actual, axis)
    return crps(actual, quantiles, levels, axis) / np.where(size == 0, np.nan, size)


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, axis: Axis = None) -> Array:
    """Share (0–1) of the actuals inside [lower, upper], both ends included."""
    actual, lower, upper = np.broadcast_arrays(_array(actual), _array(lower), _array(upper))
    inside = ((lower <= actual) & (actual <= upper)).astype(np.float64)
    return _mean(np.where(np.isnan(lower) | np.isnan(upper), np.nan, inside), actual, axis)


def width(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, axis: Axis = None) -> Array:
    """Mean width of the interval in units, over the positions whose actual is scored."""
    return _mean(_array(upper) - _array(lower), actual, axis)


def seasonal_naive_error(history: ArrayLike, season_length: int, axis: int = 0) -> Array:
    """Mean |y[t] - y[t - season_length]| along the time `axis`, NaN pairs skipped: the scale of MASE."""
    history = np.moveaxis(_array(history), axis, 0)
    step = np.abs(history[season_length:] - history[: max(len(history) - season_length, 0)])
    return _mean(step, step, 0)


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _pinball(actual: Array, quantile: Array, level: Array) -> Array:
    error = actual - quantile
    return np.maximum(level * error, (level - 1.0) * error)


def _mean(loss: Array, actual: ArrayLike, axis: Axis) -> Array:
    """Mean of `loss` over `axis` where `actual` is not NaN; NaN where nothing is."""
    known = np.broadcast_to(~np.isnan(_array(actual)), loss.shape)
    count = known.sum(axis=axis)
    total = np.where(known, loss, 0.0).sum(axis=axis)
    return np.asarray(total / np.where(count == 0, np.nan, count))
