"""Spans, bands and the name of tomorrow."""

import numpy as np
import pytest

from statewise.explain.attribution import _is_tomorrow
from statewise.explain.bands import bands
from statewise.explain.words import significant, span
from statewise.models.forecast import ForecastModel
from statewise.rows.frequency import parse


@pytest.mark.parametrize(
    ("step", "steps", "text"),
    [
        ("1h", 24, "24 hours"), ("1h", 48, "48 hours"), ("1h", 168, "7 days"), ("1h", 1, "1 hour"),
        ("30min", 3, "90 minutes"), ("30min", 4, "2 hours"), ("10min", 144, "24 hours"),
        ("1s", 90, "90 seconds"), ("1d", 14, "14 days"), ("1d", 2, "2 days"), ("1w", 8, "8 weeks"),
        ("1mo", 6, "6 months"), ("1q", 4, "4 quarters"), ("1y", 2, "2 years"), ("1B", 10, "10 business days"),
    ],
)  # fmt: skip
def test_span(step: str, steps: int, text: str) -> None:
    assert span(steps, parse(step)) == text


@pytest.mark.parametrize(
    ("step", "want"),
    [
        ("1h", (48, "last 48 hours", 168, "the week before")),
        ("30min", (96, "last 48 hours", 336, "the week before")),
        ("10min", (288, "last 48 hours", 1008, "the week before")),
        ("6h", (8, "last 48 hours", 28, "the week before")),
        ("1min", (240, "last 4 hours", 1440, "the day before")),
        ("1s", (60, "last 60 seconds", 600, "the 10 minutes before")),
        ("1d", (14, "last 14 days", 28, "the 4 weeks before")),
        ("1B", (10, "last 10 business days", 20, "the 4 weeks before")),
        ("1w", (8, "last 8 weeks", 52, "the year before")),
        ("1mo", (6, "last 6 months", 12, "the year before")),
        ("1q", (2, "last 6 months", 4, "the year before")),
        ("1y", (2, "last 2 years", 5, "the 5 years before")),
    ],
)
def test_bands(step: str, want: tuple[int, str, int, str]) -> None:
    assert tuple(bands(parse(step))) == want


@pytest.mark.parametrize(
    ("origin", "steps", "want"),
    [("T23:00", 24, True), ("T22:00", 24, False), ("T23:00", 23, False), ("T23:00", 25, False)],
)
def test_tomorrow_is_the_whole_next_day(model: ForecastModel, origin: str, steps: int, want: bool) -> None:
    assert _is_tomorrow(model.codec, np.datetime64(f"2024-01-05{origin}", "s"), steps) is want


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1234"),
        (123.45, "123.5"),
        (-12.345, "-12.35"),
        (0.5, "0.5000"),
        (0.0, "0"),
        (1e-9, "1.00e-09"),
    ],
)
def test_significant(value: float, text: str) -> None:
    assert significant(value) == text
