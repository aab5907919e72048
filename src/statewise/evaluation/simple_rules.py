"""The classical baselines as arithmetic on one series: forecasts and residual intervals, NaN tolerated.

A rule gives the forecasts from many positions at once and looks only at values at or before each position, so
the residuals of an interval are honest: at the cutoff T they come from forecasts whose actuals are at or
before T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Positions = NDArray[np.int64]

# values [T], positions [P], horizon H -> forecasts [P, H]
Rule = Callable[[Array, Positions, int], Array]


def naive(values: Array, positions: Positions, horizon: int) -> Array:
    """The last value seen, for every step: the random walk."""
    return np.repeat(carry_forward(values)[positions][:, None], horizon, axis=1)


def seasonal_naive(season_length: int) -> Rule:
    """Rule that repeats the last season; a missing value is taken from the season before it."""

    def rule(values: Array, positions: Positions, horizon: int) -> Array:
        filled = carry_forward(values, season_length)
        index = positions[:, None] - season_length + 1 + np.arange(horizon) % season_length
        return np.where(index < 0, np.nan, filled[np.maximum(index, 0)])

    return rule


def drift(values: Array, positions: Positions, horizon: int) -> Array:
    """The line through the first and the last value seen, continued (Hyndman & Athanasopoulos, 5.2)."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.full((len(positions), horizon), np.nan)
    first = known[0]
    last = carry_forward(np.where(np.isnan(values), np.nan, np.arange(len(values), dtype=np.float64)))[
        positions
    ]
    value = carry_forward(values)[positions]
    slope = (value - values[first]) / np.maximum(last - first, 1)
    ahead = (positions - last)[:, None] + np.arange(1, horizon + 1)
    line: Array = value[:, None] + slope[:, None] * ahead
    return line


def carry_forward(values: Array, period: int = 1) -> Array:
    """`values` [T] with each NaN replaced by the last value a whole number of periods before it."""
    length = len(values)
    rows = -(-length // period)
    padded = np.full(rows * period, np.nan)
    padded[:length] = values
    grid = padded.reshape(rows, period)
    source = np.maximum.accumulate(np.where(np.isnan(grid), 0, np.arange(rows)[:, None]), axis=0)
    return np.take_along_axis(grid, source, axis=0).reshape(-1)[:length]


def with_intervals(
    rule: Rule, values: Array, position: int, horizon: int, levels: Sequence[float], residuals: int
) -> tuple[Array, Array]:
    """Forecasts [H] from `position` and their quantiles [H, Q].

    Quantiles are symmetric about the forecast (so the median is the forecast itself): per step, the share
    |2·level - 1| of the newest `residuals` absolute in-sample residuals lies within. NaN without any
    residual.
    """
    point = rule(values, np.array([position]), horizon)[0]
    origins = np.arange(max(position - horizon - residuals + 1, 0), position)
    targets = origins[:, None] + np.arange(1, horizon + 1)
    actual = np.where(targets > position, np.nan, values[np.minimum(targets, position)])
    errors = np.abs(actual - rule(values, origins, horizon))
    level = np.asarray(levels, dtype=np.float64)
    spread = _filled(column_quantiles(errors, np.abs(2 * level - 1)))
    offset = np.where(level == 0.5, 0.0, np.sign(level - 0.5) * spread)
    return point, point[:, None] + offset


def column_quantiles(values: Array, shares: Array) -> Array:
    """Quantiles [H, Q] of each column of `values` [P, H], NaN left out; `np.nanquantile`, but fast."""
    if not len(values):
        return np.full((values.shape[1], len(shares)), np.nan)
    ordered = np.sort(values, axis=0)
    count = (~np.isnan(ordered)).sum(axis=0)
    place = np.maximum(count - 1, 0)[:, None] * shares
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0)[:, None])
    columns = np.arange(values.shape[1])[:, None]
    low, high = ordered[below, columns], ordered[above, columns]
    quantiles: Array = low + (high - low) * (place - below)
    return quantiles


def _filled(spread: Array) -> Array:
    """Steps too far ahead for any residual take the spread of the last step that has one."""
    known = ~np.isnan(spread[:, 0])
    if not known.any():
        return spread
    source = np.maximum.accumulate(np.where(known, np.arange(len(spread)), 0))
    return spread[source]
