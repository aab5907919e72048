"""From a panel to the questions of a backtest: cutoffs, actuals and the scale of MASE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError, DataError
from statewise.evaluation.answers import Array, Questions
from statewise.metrics.forecast import seasonal_naive_error
from statewise.rows.panel import Panel

Cutoffs = NDArray[np.datetime64]


def ask(
    panel: Panel, origins: int | Sequence[datetime], step: int | None, horizon: int
) -> tuple[Questions, int, list[str]]:
    """The questions, the distance of the cutoffs in steps, and notes on what cannot be scored."""
    step = horizon if step is None else step
    if step < 1:
        raise ConfigError(f"step: got {step}, want at least 1.")
    if isinstance(origins, int):
        cutoffs = _newest(panel, origins, step, horizon)
    else:
        cutoffs = _given(panel, origins)
        gaps = np.diff(panel.frequency.index(cutoffs))
        step = int(gaps.min()) if len(gaps) else step
    scale, season, notes = _scale(panel, cutoffs[0])
    index = panel.frequency.index(cutoffs)
    times = panel.frequency.time(index[:, None] + np.arange(1, horizon + 1))
    actual = _actual(panel, index, horizon)
    names = tuple(series.id for series in panel.series)
    questions = Questions(names, panel.schema.target, cutoffs, times, actual, scale, season)
    return questions, step, [*notes, *_unobserved(questions)]


def last_observed(panel: Panel) -> int:
    """Grid number of the newest time at which any series has a target value."""
    newest = [
        panel.frequency.index(series.time[np.flatnonzero(known)[-1:]])[0]
        for series in panel.series
        if (known := ~np.isnan(series.target).all(axis=1)).any()
    ]
    if not newest:
        raise DataError("data: no target value is observed.")
    return int(max(newest))


def first_row(panel: Panel) -> int:
    """Grid number of the oldest row."""
    return min(int(panel.frequency.index(series.time[:1])[0]) for series in panel.series)


def _newest(panel: Panel, origins: int, step: int, horizon: int) -> Cutoffs:
    if origins < 1:
        raise ConfigError(f"origins: got {origins}, want at least 1.")
    first, last = first_row(panel) + 1, last_observed(panel) - horizon
    possible = max((last - first) // step + 1, 0)
    if origins > possible:
        length = last_observed(panel) - first_row(panel) + 1
        raise DataError(
            f"data: {length} steps hold {possible} origins {step} apart with {horizon} steps ahead, "
            f"got origins={origins}: ask for fewer origins, a smaller step or horizon."
        )
    return panel.frequency.time(last - step * np.arange(origins - 1, -1, -1))


def _given(panel: Panel, origins: Sequence[datetime]) -> Cutoffs:
    if not len(origins):
        raise ConfigError("origins: got no cutoff, want at least one.")
    seconds = sorted(panel.clock.seconds(cutoff, None, "origins") for cutoff in origins)
    cutoffs = np.array(seconds, dtype="datetime64[s]")
    if (off := panel.frequency.off_grid(cutoffs)).any():
        raise ConfigError(f"origins: {cutoffs[int(np.argmax(off))]} is off the {panel.frequency.name} grid.")
    index = panel.frequency.index(cutoffs)
    if (np.diff(index) == 0).any():
        raise ConfigError("origins: the same cutoff is given twice.")
    if index[0] <= first_row(panel) or index[-1] >= last_observed(panel):
        raise ConfigError(
            "origins: a cutoff leaves no history or nothing to forecast: keep them inside the data."
        )
    return cutoffs


def _actual(panel: Panel, index: NDArray[np.int64], horizon: int) -> Array:
    """What happened [O, S, D, H]; NaN where a series has no value."""
    actual = np.full((len(index), len(panel.series), len(panel.schema.target), horizon), np.nan)
    ahead = index[:, None] + np.arange(1, horizon + 1)
    for number, series in enumerate(panel.series):
        place = ahead - panel.frequency.index(series.time[:1])
        inside = (place >= 0) & (place < len(series))
        # A series that has not begun at a cutoff cannot be forecast from it.
        inside &= (ahead[:, :1] - 1) >= panel.frequency.index(series.time[:1])
        values = series.target[np.clip(place, 0, len(series) - 1)]
        actual[:, number] = np.where(inside[..., None], values, np.nan).transpose(0, 2, 1)
    return actual


def _scale(panel: Panel, first: np.datetime64) -> tuple[Array, int, list[str]]:
    """Scale of MASE [S, D] from the rows up to the first cutoff, its season length, and notes."""
    histories = [series.target[series.time <= first] for series in panel.series]
    season = next(iter(panel.frequency.season_lengths), 1)
    notes = []
    if max(map(len, histories)) <= season:
        notes.append(
            f"The first history is shorter than a season of {season} steps: MASE is scaled by naive instead."
        )
        season = 1
    scale = np.stack([seasonal_naive_error(history, season) for history in histories])
    without = int((~(scale > 0)).any(axis=1).sum())
    if without:
        many = "1 series is" if without == 1 else f"{without} series are"
        notes.append(
            f"{many} constant or too short before the first cutoff: MASE leaves them out, MAE does not."
        )
    return scale, season, notes


def _unobserved(questions: Questions) -> list[str]:
    observed = ~np.isnan(questions.actual)
    silent = int((~observed.any(axis=(0, 2, 3))).sum())
    notes = []
    if silent:
        many = "1 series has" if silent == 1 else f"{silent} series have"
        notes.append(f"{many} no value after any cutoff and no part in the scores.")
    lost = observed[:, observed.any(axis=(0, 2, 3))]
    if lost.size and not lost.all():
        notes.append(
            f"{int((~lost).sum())} of {lost.size} values to forecast were not observed and are not scored."
        )
    return notes
