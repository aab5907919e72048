"""Grids: numbers to times and back, names, and the grid that rows stand on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError, DataError
from statewise.rows.frequency import Frequency, infer, parse


@st.composite
def frequencies(draw: st.DrawFn) -> Frequency:
    unit = draw(st.sampled_from(["s", "M", "B"]))
    if unit == "s":
        count = draw(st.sampled_from([1, 7, 60, 600, 1800, 3600, 86_400, 7 * 86_400]))
        return Frequency("s", count, phase=draw(st.integers(0, count - 1)))
    count = draw(st.sampled_from([1, 2, 3, 6, 12]))
    second = draw(st.sampled_from([0, 3600, 86_399]))
    return Frequency(unit, count, draw(st.integers(0, count - 1)), draw(st.integers(1, 31)), second)


@given(frequencies(), st.lists(st.integers(-3000, 3000), min_size=1, max_size=20))
def test_index_and_time_are_inverse(frequency: Frequency, numbers: list[int]) -> None:
    index = np.array(numbers)
    times = frequency.time(index)
    assert times.dtype == np.dtype("datetime64[s]")
    np.testing.assert_array_equal(frequency.index(times), index)
    assert not frequency.off_grid(times).any()


@given(frequencies(), st.integers(-500, 500))
def test_the_grid_grows_and_a_second_later_is_off_it(frequency: Frequency, start: int) -> None:
    times = frequency.time(np.arange(start, start + 50))
    assert (np.diff(times) > np.timedelta64(0, "s")).all()
    if frequency.count > 1 or frequency.unit != "s":
        assert frequency.off_grid(times + np.timedelta64(1, "s")).all()


@given(frequencies(), st.integers(-500, 500))
def test_a_grid_is_found_again_from_its_times(frequency: Frequency, start: int) -> None:
    assume(frequency.unit != "B" or frequency.count == 1)  # every second business day is nobody's grid
    times = frequency.time(np.arange(start, start + 60))
    found = infer(times)
    np.testing.assert_array_equal(found.off_grid(times), False)
    np.testing.assert_array_equal(np.diff(found.index(times)), 1)


@given(frequencies())
def test_a_name_is_read_back(frequency: Frequency) -> None:
    plain = parse(frequency.name)
    assert (plain.unit, plain.count) == (frequency.unit, frequency.count)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("h", "1h"),
        ("1H", "1h"),
        ("30min", "30min"),
        ("30m", "30min"),
        ("90min", "90min"),
        ("15T", "15min"),
        ("D", "1d"),
        ("1d", "1d"),
        ("W-SUN", "1w"),
        ("14d", "2w"),
        ("MS", "1mo"),
        ("M", "1mo"),
        ("QS", "1q"),
        ("YS", "1y"),
        ("B", "1B"),
        ("10s", "10s"),
    ],
)
def test_names_of_pandas_and_polars_are_understood(text: str, name: str) -> None:
    assert parse(text).name == name


@pytest.mark.parametrize("text", ["", "hourly", "0h", "1.5h", "h1"])
def test_other_names_are_refused(text: str) -> None:
    want = "1s, 10min, 30min, 1h, 1d, 1w, 1mo, 1q, 1y or 1B (business days)"
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == f"frequency: got '{text}', want a step such as {want}."


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("1h", (24, 168)),
        ("30min", (48, 336)),
        ("10min", (144, 1008)),
        ("1d", (7,)),
        ("1B", (5,)),
        ("1w", (52,)),
        ("1mo", (12,)),
        ("1q", (4,)),
        ("1y", ()),
        ("7min", (1440,)),
        ("11min", ()),
        ("2d", ()),
    ],
)
def test_season_lengths(name: str, lengths: tuple[int, ...]) -> None:
    assert parse(name).season_lengths == lengths


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


@pytest.mark.parametrize(
    ("times", "found"),
    [
        (days("2024-01-01T00:30", "2024-01-01T01:30", "2024-01-01T03:30", "2024-01-01T04:30"), "1h"),
        (days("2024-01-31", "2024-02-29", "2024-03-31", "2024-05-31"), "1mo"),
        (days("2024-01-30", "2024-02-29", "2024-03-30", "2024-04-30"), "1mo"),
        (days("2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01"), "1q"),
        (days("2021-06-30", "2022-06-30", "2023-06-30", "2024-06-30"), "1y"),
        (days("2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"), "1B"),
        (days("2024-01-01", "2024-01-29", "2024-02-26", "2024-03-25"), "4w"),
        (days("2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31"), "30d"),
    ],
)
def test_what_most_steps_follow_is_inferred(times: np.ndarray, found: str) -> None:
    frequency = infer(times)
    assert frequency.name == found
    assert not frequency.off_grid(times).any()


def test_steps_between_series_do_not_count() -> None:
    times = days("2024-01-01T00:00", "2024-01-01T01:00", "2030-01-01T00:00", "2030-01-01T01:00")
    assert infer(times, np.array([0, 0, 1, 1])).name == "1h"


def test_one_row_per_series_is_too_little() -> None:
    with pytest.raises(
        DataError, match=r"^frequency: no series has two rows to tell it from: pass frequency="
    ):
        infer(days("2024-01-01", "2024-01-02"), np.array([0, 1]))


def test_whole_days() -> None:
    assert [parse(name).whole_days for name in ("1h", "12h", "1d", "1w", "1B", "1mo")] == [False] * 2 + [
        True
    ] * 4


def test_a_bad_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^frequency: got unit 'x', count 1, want s, M or B, count ≥ 1\.$"):
        Frequency("x")  # type: ignore[arg-type]
