"""One time of a live row to inside seconds, and inside times back to text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from statewise.core.errors import StreamError
from statewise.rows.clock import Clock

PLAIN = Clock()
BERLIN = Clock("Europe/Berlin")
AWARE = Clock("Europe/Berlin", aware=True)
AWARE_DAYS = Clock("Europe/Berlin", aware=True, whole_days=True)


def utc(text: str) -> int:
    return int(np.datetime64(text, "s").astype(np.int64))


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 5, 1, 13),
        "2024-05-01T13:00:00",
        "2024-05-01 13:00",
        np.datetime64("2024-05-01T13"),
        np.datetime64("2024-05-01T13:00:00.000000000"),
    ],
)
def test_every_way_to_write_a_time(value: Any) -> None:
    assert PLAIN.seconds(value, None) == utc("2024-05-01T13:00")
    assert BERLIN.seconds(value, None) == utc("2024-05-01T11:00")


def test_dates_are_midnights() -> None:
    assert PLAIN.seconds(date(2024, 5, 1), None) == PLAIN.seconds("2024-05-01", None) == utc("2024-05-01")


def test_aware_times_are_instants_and_days_on_the_wall() -> None:
    moment = datetime(2024, 5, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert AWARE.seconds(moment, None) == utc("2024-04-30T22:00")
    assert AWARE_DAYS.seconds(moment, None) == utc("2024-05-01")
    assert BERLIN.seconds("2024-04-30T22:00:00Z", None) == utc("2024-04-30T22:00")
    assert AWARE.seconds(datetime(2024, 1, 1, tzinfo=UTC), None) == utc("2024-01-01")


def test_the_double_hour_goes_by_the_row_before() -> None:
    first, second = utc("2024-10-27T00:30"), utc("2024-10-27T01:30")
    assert BERLIN.seconds("2024-10-27T02:30", None) == first
    assert BERLIN.seconds("2024-10-27T02:30", utc("2024-10-27T00:00")) == first
    assert BERLIN.seconds("2024-10-27T02:30", first) == second
    assert BERLIN.seconds("2024-10-27T02:30", second) == second  # a duplicate, for the codec to refuse


@pytest.mark.parametrize(
    ("clock", "value", "text"),
    [
        (PLAIN, "yesterday", "ds: got 'yesterday', want a time such as '2024-05-01T13:00:00'."),
        (PLAIN, 17, "ds: got 17, want a datetime or ISO text such as '2024-05-01T13:00:00'."),
        (PLAIN, None, "ds: got None, want a datetime or ISO text such as '2024-05-01T13:00:00'."),
        (PLAIN, "2024-05-01T13:00:00.5", "ds: got '2024-05-01T13:00:00.5', want whole seconds."),
        (
            PLAIN,
            "2024-05-01T13:00:00Z",
            "ds: got '2024-05-01T13:00:00Z' with a time zone, the training rows carry none: leave it out.",
        ),
        (
            AWARE,
            "2024-05-01T13:00:00",
            (
                "ds: got '2024-05-01T13:00:00' without a time zone, the training rows carry one: "
                "add the offset, such as '2024-05-01T13:00:00+00:00'."
            ),
        ),
        (
            BERLIN,
            "2024-03-31 02:30",
            "ds: '2024-03-31T02:30:00' does not exist in Europe/Berlin: the clock skips that hour.",
        ),
    ],
)
def test_errors_name_the_column_and_the_remedy(clock: Clock, value: Any, text: str) -> None:
    with pytest.raises(StreamError) as caught:
        clock.seconds(value, None)
    assert str(caught.value) == text


def test_texts_are_in_the_user_convention_and_read_back() -> None:
    times = np.array(["2024-10-27T00:30", "2024-10-27T01:30"], dtype="datetime64[s]")
    assert PLAIN.texts(times) == ["2024-10-27T00:30:00", "2024-10-27T01:30:00"]
    assert BERLIN.texts(times) == ["2024-10-27T02:30:00", "2024-10-27T02:30:00"]
    assert AWARE.texts(times) == ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]
    assert AWARE_DAYS.texts(times[:1].astype("datetime64[D]")) == ["2024-10-27T00:00:00+02:00"]
    assert [AWARE.seconds(text, None) for text in AWARE.texts(times)] == times.astype(np.int64).tolist()
    assert Clock("America/New_York", True).texts(times)[0] == "2024-10-26T20:30:00-04:00"


def test_describe() -> None:
    assert [clock.describe() for clock in (PLAIN, BERLIN, AWARE)] == [
        "times without a time zone",
        "times on the clock of Europe/Berlin",
        "times that carry the zone Europe/Berlin",
    ]
