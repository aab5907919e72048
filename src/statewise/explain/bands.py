"""Into which bands the raw past of a series is cut, by its grid: "last 48 hours", "the week before" …"""

from __future__ import annotations

from typing import NamedTuple

from statewise.rows.frequency import DAY, Frequency

_HOUR = 3600
_LONGEST = 1700  # steps that are replayed without tiring the user
# Two seasons of a day, then a week; for finer grids shorter spans, so that a replay stays short.
_SPANS = (
    (48 * _HOUR, "last 48 hours", 7 * DAY, "the week before"),
    (4 * _HOUR, "last 4 hours", DAY, "the day before"),
    (600, "last 10 minutes", _HOUR, "the hour before"),
    (60, "last 60 seconds", 600, "the 10 minutes before"),
)


class Bands(NamedTuple):
    """The newest steps and the steps before them, with their names; what is older is "older memory"."""

    newest: int
    newest_name: str
    before: int
    before_name: str


def bands(frequency: Frequency) -> Bands:
    """The bands of a grid: two days and a week by the hour, two weeks and four by the day …"""
    if frequency.unit == "B":
        return _steps(frequency.count, 10, "last 10 business days", 20, "the 4 weeks before")
    if frequency.unit == "M":
        if frequency.count >= 12:
            years = frequency.count // 12
            return Bands(2, f"last {2 * years} years", 5, f"the {5 * years} years before")
        return _steps(frequency.count, 6, "last 6 months", 12, "the year before")
    if frequency.count >= 7 * DAY:
        return _steps(frequency.count, 56 * DAY, "last 8 weeks", 364 * DAY, "the year before")
    if frequency.count >= DAY:
        return _steps(frequency.count, 14 * DAY, "last 14 days", 28 * DAY, "the 4 weeks before")
    fitting = (row for row in _SPANS if (row[0] + row[2]) // frequency.count <= _LONGEST)
    return _steps(frequency.count, *next(fitting, _SPANS[-1]))


def _steps(step: int, newest: int, newest_name: str, before: int, before_name: str) -> Bands:
    return Bands(max(1, round(newest / step)), newest_name, max(1, round(before / step)), before_name)
