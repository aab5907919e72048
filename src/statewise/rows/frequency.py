"""The grid of times a series stands on: a fixed number of seconds, of months, or of business days."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError, DataError

Times = NDArray[np.datetime64]  # datetime64[s]
Index = NDArray[np.int64]
Unit = Literal["s", "M", "B"]

DAY = 86_400
_DAYS_PER_MONTH = 30.436875
_SECONDS = {"w": 7 * DAY, "d": DAY, "h": 3600, "min": 60, "s": 1}
_ALIASES: dict[str, tuple[Unit, int]] = {
    **dict.fromkeys(("s", "S", "sec"), ("s", 1)),
    **dict.fromkeys(("min", "T", "m"), ("s", 60)),
    **dict.fromkeys(("h", "H"), ("s", 3600)),
    **dict.fromkeys(("d", "D"), ("s", DAY)),
    **dict.fromkeys(("w", "W"), ("s", 7 * DAY)),
    **dict.fromkeys(("mo", "M", "MS", "ME"), ("M", 1)),
    **dict.fromkeys(("q", "Q", "QS", "QE"), ("M", 3)),
    **dict.fromkeys(("y", "Y", "YS", "YE", "A", "AS"), ("M", 12)),
    **dict.fromkeys(("b", "B"), ("B", 1)),
}
_KNOWN = "1s, 10min, 30min, 1h, 1d, 1w, 1mo, 1q, 1y or 1B (business days)"


@dataclass(frozen=True)
class Frequency:
    """A regular grid: grid point `i` is `i * count + phase` units after 1970, counted as whole numbers.

    `day` (month grids: 1 to 31, 31 meaning the last day of each month) and `second` (of the day; month and
    business-day grids) say where inside its month or day a grid point lies.
    """

    unit: Unit
    count: int = 1
    phase: int = 0
    day: int = 1
    second: int = 0

    def __post_init__(self) -> None:
        if self.unit not in ("s", "M", "B") or self.count < 1:
            raise ConfigError(
                f"frequency: got unit '{self.unit}', count {self.count}, want s, M or B, count ≥ 1."
            )

    def index(self, times: Times) -> Index:
        """Grid number of each time (of the grid point at or before it where the time is off the grid)."""
        seconds = times.astype("datetime64[s]").astype(np.int64)
        if self.unit == "s":
            return (seconds - self.phase) // self.count
        if self.unit == "B":
            week, weekday = np.divmod((seconds - self.second) // DAY + 3, 7)  # 1970-01-01 was a Thursday
            return (week * 5 + np.minimum(weekday, 4) - self.phase) // self.count
        months = times.astype("datetime64[M]").astype(np.int64)
        return np.asarray((months - self.phase) // self.count, dtype=np.int64)

    def time(self, index: Index) -> Times:
        """Time of each grid number, datetime64[s]; the inverse of `index`."""
        position = np.asarray(index, dtype=np.int64) * self.count + self.phase
        if self.unit == "s":
            return np.asarray(position.astype("datetime64[s]"))
        if self.unit == "B":
            week, weekday = np.divmod(position, 5)
            days = week * 7 + weekday - 3
        else:
            start = position.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
            days = start + np.minimum(self.day, _month_length(position)) - 1
        return np.asarray((days * DAY + self.second).astype("datetime64[s]"))

    def off_grid(self, times: Times) -> NDArray[np.bool_]:
        """True where a time is not a grid point."""
        return np.asarray(self.time(self.index(times)) != times.astype("datetime64[s]"))

    def anchored(self, times: Times) -> Frequency:
        """The same step with phase, day and second of day taken from the majority of `times`."""
        seconds = times.astype("datetime64[s]").astype(np.int64)
        if self.unit == "s":
            return replace(self, phase=_most_common(seconds % self.count))
        plain = replace(self, count=1, phase=0, second=_most_common(seconds % DAY))
        if self.unit == "M":
            plain = replace(plain, day=_month_day(times))
        return replace(plain, count=self.count, phase=_most_common(plain.index(times) % self.count))

    @property
    def name(self) -> str:
        """Short text such as "1h", "30min", "1d", "1mo", "1B"; `parse` reads it back."""
        if self.unit == "B":
            return f"{self.count}B"
        if self.unit == "M":
            years, quarters = divmod(self.count, 12), divmod(self.count, 3)
            return (
                f"{years[0]}y"
                if not years[1]
                else f"{quarters[0]}q"
                if not quarters[1]
                else f"{self.count}mo"
            )
        word, size = next((word, size) for word, size in _SECONDS.items() if self.count % size == 0)
        return f"{self.count // size}{word}"

    @property
    def whole_days(self) -> bool:
        """True for steps of a day or more: such a grid follows the calendar on the wall, not UTC."""
        return self.unit != "s" or self.count % DAY == 0

    @property
    def season_lengths(self) -> tuple[int, ...]:
        """Usual seasons in steps, shortest first: hourly (24, 168), daily (7,), monthly (12,) …"""
        if self.unit == "B":
            return (5,) if self.count == 1 else ()
        if self.unit == "M":
            return (12 // self.count,) if self.count < 12 and 12 % self.count == 0 else ()
        if self.count == 7 * DAY:
            return (52,)
        spans = (3600, DAY) if self.count < 60 else (DAY, 7 * DAY)
        return tuple(span // self.count for span in spans if span % self.count == 0 and span > self.count)


def parse(text: str) -> Frequency:
    """The frequency a text names, as polars ("30m", "1mo"), pandas ("30min", "MS") or `Frequency.name` do."""
    match = re.fullmatch(r"(\d*)\s*([A-Za-z]+)(-[A-Z]{3})?", text.strip())
    if match is None or match[2] not in _ALIASES or match[1] == "0":
        raise ConfigError(f"frequency: got '{text}', want a step such as {_KNOWN}.")
    unit, count = _ALIASES[match[2]]
    return Frequency(unit, count * int(match[1] or 1))


def infer(times: Times, series: NDArray[np.integer] | None = None) -> Frequency:
    """The grid most steps of `times` [T] follow; `series` [T] numbers the series, each sorted and together.

    Raises DataError when no series has two rows.
    """
    seconds = times.astype("datetime64[s]").astype(np.int64)
    steps = np.diff(seconds)
    steps = steps[(steps > 0) if series is None else (steps > 0) & (np.diff(series) == 0)]
    if not len(steps):
        raise DataError(
            f"frequency: no series has two rows to tell it from: pass frequency=, such as {_KNOWN}."
        )
    return _guess(times, steps).anchored(times)


def _guess(times: Times, steps: Index) -> Frequency:
    step = _most_common(steps)
    if step % DAY == 0:
        months = round(step / DAY / _DAYS_PER_MONTH)
        close = abs(step / DAY - months * _DAYS_PER_MONTH) < 3
        if months and close and np.mean(Frequency("M").anchored(times).off_grid(times)) < 0.1:
            return Frequency("M", months)
        if step == DAY and _skips_weekends(times, steps):
            return Frequency("B")
    return Frequency("s", step)


def _skips_weekends(times: Times, steps: Index) -> bool:
    weekday = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7
    return bool(weekday.max() < 5 and (steps == 3 * DAY).any())


def _most_common(values: Index) -> int:
    if (values == values[0]).all():
        return int(values[0])
    unique, counts = np.unique(values, return_counts=True)
    return int(unique[counts.argmax()])


def _month_length(month: Index) -> Index:
    start = month.astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(((month + 1).astype("datetime64[M]").astype("datetime64[D]") - start).astype(np.int64))


def _month_day(times: Times) -> int:
    month = times.astype("datetime64[M]")
    day = (times.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64) + 1
    if (day == _month_length(month.astype(np.int64))).mean() > 0.9:
        return 31
    usual = _most_common(day)
    # 30 January, 28 February, 30 March: the largest day is the rule where months are long enough for it.
    return int(day.max()) if usual > 28 else usual
