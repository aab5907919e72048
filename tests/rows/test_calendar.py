"""Calendar features: the definition, the wall clock, and the same bits for one row as for many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.rows.calendar import PERIODS, calendar_features, calendar_names, calendar_periods
from statewise.rows.frequency import parse

HOUR, DAY = np.timedelta64(3600, "s"), np.timedelta64(86_400, "s")


def feature(times: np.ndarray, step: str, name: str, timezone: str | None = None) -> np.ndarray:
    frequency = parse(step)
    features = calendar_features(times, frequency, timezone)
    assert features.dtype == np.float32
    assert features.shape == (len(times), len(calendar_names(frequency)))
    return features[:, calendar_names(frequency).index(name)]


def test_names() -> None:
    assert calendar_names(parse("1h")) == (
        *("sin day", "cos day", "sin day/2", "cos day/2", "sin day/3", "cos day/3"),
        *("sin week", "cos week", "sin week/2", "cos week/2", "sin week/3", "cos week/3"),
        *("sin year", "cos year"),
    )
    assert [len(calendar_names(parse(step))) for step in ("10min", "1d", "1B", "1w", "1mo", "1y")] == [
        *(14, 10, 10, 6, 6, 6)
    ]


def test_hours_of_the_day_and_of_the_week() -> None:
    monday = np.datetime64("2024-01-01", "s")
    times = monday + np.arange(168) * HOUR
    angle = 2 * np.pi * np.arange(168)
    np.testing.assert_allclose(feature(times, "1h", "sin day"), np.sin(angle / 24), atol=1e-6)
    np.testing.assert_allclose(feature(times, "1h", "cos day/3"), np.cos(3 * angle / 24), atol=1e-6)
    np.testing.assert_allclose(feature(times, "1h", "sin week/2"), np.sin(2 * angle / 168), atol=1e-6)
    np.testing.assert_allclose(feature(times, "1h", "cos year")[:24], 1)


def test_days_of_the_week_and_of_the_year() -> None:
    times = np.datetime64("2024-01-01", "s") + np.arange(366) * DAY
    angle = 2 * np.pi * np.arange(366)
    np.testing.assert_allclose(feature(times, "1d", "cos week"), np.cos(angle / 7), atol=1e-6)
    np.testing.assert_allclose(feature(times, "1d", "sin year/2"), np.sin(2 * angle / 366), atol=1e-6)


def test_the_day_is_that_of_the_wall_clock() -> None:
    noon = np.array(["2024-07-01T10:00", "2024-01-01T11:00"], dtype="datetime64[s]")
    np.testing.assert_allclose(feature(noon, "1h", "cos day", "Europe/Berlin"), -1)
    np.testing.assert_allclose(feature(noon, "1h", "sin day", "Europe/Berlin"), 0, atol=1e-6)


def test_day_grids_are_on_the_wall_already() -> None:
    times = np.datetime64("2024-01-01", "s") + np.arange(14) * DAY
    frequency = parse("1d")
    np.testing.assert_array_equal(
        calendar_features(times, frequency, "Asia/Tokyo"), calendar_features(times, frequency)
    )


@pytest.mark.parametrize("step", ["1s", "7min", "10min", "1h", "1d", "1B", "1w", "1mo"])
@given(start=st.integers(-10_000, 10_000), length=st.integers(1, 40))
def test_one_row_has_the_bits_of_many(step: str, start: int, length: int) -> None:
    frequency = parse(step)
    times = frequency.time(np.arange(start, start + length))
    many = calendar_features(times, frequency, "America/New_York")
    one = [calendar_features(times[i : i + 1], frequency, "America/New_York") for i in range(length)]
    np.testing.assert_array_equal(many, np.concatenate(one))
    assert np.isfinite(many).all()
    assert (np.abs(many) <= 1).all()


@pytest.mark.parametrize(
    ("step", "days", "want"),
    [
        ("1h", 1.9, ()),
        ("1h", 2, ("day",)),
        ("10min", 13.9, ("day",)),
        ("1h", 14, ("day", "week")),
        ("1h", 729, ("day", "week")),
        ("1h", 730, ("day", "week", "year")),
        ("1d", 13, ()),
        ("1d", 14, ("week",)),
        ("1B", 800, ("week", "year")),
        ("1w", 14, ()),
        ("1mo", 730, ("year",)),
    ],
)
def test_a_period_counts_once_the_rows_went_through_it_twice(
    step: str, days: float, want: tuple[str, ...]
) -> None:
    assert calendar_periods(parse(step), int(days * 86_400)) == want


@pytest.mark.parametrize("step", ["1h", "1d", "1mo"])
@pytest.mark.parametrize("periods", [(), ("day",), ("week",), ("day", "year"), PERIODS])
def test_fewer_periods_are_some_of_the_columns(step: str, periods: tuple[str, ...]) -> None:
    frequency = parse(step)
    times = frequency.time(np.arange(1000, 1050))
    names, every = calendar_names(frequency, periods), calendar_names(frequency)
    assert list(names) == [name for name in every if name.split()[1].split("/")[0] in periods]
    some = calendar_features(times, frequency, periods=periods)
    assert (some.shape, some.dtype) == ((50, len(names)), np.float32)
    whole = calendar_features(times, frequency)
    np.testing.assert_array_equal(some, whole[:, [every.index(name) for name in names]])


def test_no_times() -> None:
    assert calendar_features(np.empty(0, dtype="datetime64[s]"), parse("1h")).shape == (0, 14)
