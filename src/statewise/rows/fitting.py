"""What a forecast codec learns from training rows: levels, categories, the seasonal profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from statewise.rows.clock import Clock
from statewise.rows.columns import Column, Role, fit_categories, fit_number
from statewise.rows.frequency import Frequency, Times
from statewise.rows.panel import Panel

ROLES: tuple[Role, ...] = ("target", "observed", "known", "static")
_LONGEST_PROFILE = 10_080  # a week of minutes


def fit_columns(panel: Panel) -> list[Column]:
    """Every value column of the schema, in its order, fitted on the rows of `panel`."""
    fitted = []
    categories = panel.series[0].categories
    for role in ROLES:
        for i, name in enumerate(getattr(panel.schema, role)):
            if role == "static":
                fitted.append(_fit_static(panel, i, name))
                continue
            parts = [getattr(series, role)[: len(series), i] for series in panel.series]
            fitted.append(
                fit_categories(name, role, parts, categories[name])
                if name in categories
                else fit_number(name, role, parts)
            )
    return fitted


def _fit_static(panel: Panel, i: int, name: str) -> Column:
    values = [series.static[i] for series in panel.series]
    if name in panel.series[0].categories:
        return Column(name, "static", categories=tuple(sorted({str(v) for v in values if v is not None})))
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return fit_number(name, "static", [numbers])


def seasonal_profile(panel: Panel, targets: Sequence[Column]) -> NDArray[np.float64]:
    """Mean standardised target by phase [n_phase, D]; an empty phase takes the shorter season's."""
    longest = max(map(len, panel.series))
    usable = [n for n in panel.frequency.season_lengths if n <= _LONGEST_PROFILE and 2 * n <= longest]
    result = np.zeros((1, len(targets)))
    level, scale = np.array([c.mean for c in targets]), np.array([c.scale for c in targets])
    values = (np.concatenate([series.target for series in panel.series]) - level) / scale
    times = np.concatenate([series.time for series in panel.series])
    for length in usable or [1]:
        phase = phase_of(times, length, panel.frequency, panel.clock)
        sums, counts = np.zeros((length, len(targets))), np.zeros((length, len(targets)))
        for d in range(len(targets)):
            there = ~np.isnan(values[:, d])
            sums[:, d] = np.bincount(phase[there], values[there, d], length)
            counts[:, d] = np.bincount(phase[there], minlength=length)
        shorter = np.resize(result, (length, len(targets)))
        result = np.where(counts > 0, sums / np.maximum(counts, 1), shorter)
    return result


def phase_of(times: Times, length: int, frequency: Frequency, clock: Clock) -> NDArray[np.int64]:
    """Place in a season of `length` steps of each inside time, by the clock on the wall."""
    if length == 1:
        return np.zeros(len(times), dtype=np.int64)
    wall = clock.wall(times).astype("datetime64[s]")
    return np.asarray(frequency.index(wall) % length)
