"""Where a time lies in its day, week and year, as smooth features read from small tables."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from statewise.rows.clock import Clock
from statewise.rows.frequency import DAY, Frequency

Times = NDArray[np.datetime64]
Features = NDArray[np.float32]
_WEEK = 7 * DAY
_YEAR = 366
PERIODS = ("day", "week", "year")
_SECONDS = {"day": DAY, "week": 7 * DAY, "year": 365 * DAY}


def calendar_periods(frequency: Frequency, span: int) -> tuple[str, ...]:
    """The periods that rows of `span` seconds went through at least twice; of others nothing can be learned.

    (A yearly wave fitted to one year of rows stands for whatever happened that year.)
    """
    return tuple(period for period, _ in _parts(frequency) if span >= 2 * _SECONDS[period])


def calendar_names(frequency: Frequency, periods: tuple[str, ...] = PERIODS) -> tuple[str, ...]:
    """Names of the features: "sin day", "cos day", "sin day/2" …, in the order of `calendar_features`."""
    return tuple(
        f"{wave} {period}" + (f"/{k}" if k > 1 else "")
        for period, harmonics in _parts(frequency)
        if period in periods
        for k in range(1, harmonics + 1)
        for wave in ("sin", "cos")
    )


def calendar_features(
    times: Times, frequency: Frequency, timezone: str | None = None, periods: tuple[str, ...] = PERIODS
) -> Features:
    """Sines and cosines [T, C] of day, week and year at inside times [T] (UTC; on the wall for day grids).

    Under a day: 3 harmonics of the day, 3 of the week, 1 of the year.
    Days and business days: 3 of the week, 2 of the year. Coarser: 3 of the year; those of `periods` only.
    Read from tables, so that equal times give equal bits however many are asked at once.
    """
    wall = Clock(timezone, whole_days=frequency.whole_days).wall(times).astype("datetime64[s]")
    seconds = wall.astype(np.int64)
    features = [
        _part(period, harmonics, frequency, seconds, wall)
        for period, harmonics in _parts(frequency)
        if period in periods
    ]
    return np.concatenate(features, axis=1) if features else np.empty((len(times), 0), dtype=np.float32)


def _parts(frequency: Frequency) -> tuple[tuple[str, int], ...]:
    if not frequency.whole_days:
        return ("day", 3), ("week", 3), ("year", 1)
    if frequency.unit == "B" or (frequency.unit == "s" and frequency.count % _WEEK):
        return ("week", 3), ("year", 2)
    return (("year", 3),)


def _part(
    period: str, harmonics: int, frequency: Frequency, seconds: NDArray[np.int64], wall: Times
) -> Features:
    if period == "year":
        return _read(_table(_YEAR, harmonics), _day_of_year(wall))
    unit = DAY if frequency.whole_days else int(np.gcd(frequency.count, DAY))
    if period == "day":
        return _read(_table(DAY // unit, harmonics), seconds % DAY // unit)
    unit = max(unit, 60)  # the week need not be told apart by the second
    return _read(_table(_WEEK // unit, harmonics), (seconds + 3 * DAY) % _WEEK // unit)


def _day_of_year(wall: Times) -> NDArray[np.int64]:
    """0 on the first of January."""
    days = wall.astype("datetime64[D]") - wall.astype("datetime64[Y]").astype("datetime64[D]")
    return np.asarray(days.astype(np.int64))


def _read(table: Features, place: NDArray[np.int64]) -> Features:
    return np.take(table, place, axis=0, mode="clip")  # mode="clip" is the fast one; places are in range


@cache
def _table(length: int, harmonics: int) -> Features:
    """sin, cos of the harmonics at each of `length` places of a period: [length, 2 * harmonics]."""
    angle = 2 * np.pi * np.arange(length)[:, None] * np.arange(1, harmonics + 1) / length
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(length, -1).astype(np.float32)
