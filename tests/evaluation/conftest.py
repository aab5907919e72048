"""Small panels with a known answer, and a task to go with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from statewise.rows.schema import ForecastSchema


@dataclass(frozen=True)
class Task:
    """The two facts an evaluation needs."""

    horizon: int = 6
    schema: ForecastSchema = field(default_factory=ForecastSchema)


def hourly(count: int, start: str = "2024-01-01") -> np.ndarray:
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(3600, "s")


def panel_frame(
    count: int = 24 * 20, series: tuple[str, ...] = ("a", "b"), noise: float = 1.0
) -> pl.DataFrame:
    """A daily wave per series plus noise, hourly."""
    rng = np.random.default_rng(1)
    parts = []
    for number, name in enumerate(series):
        wave = 10 * (number + 1) + 5 * np.sin(2 * np.pi * np.arange(count) / 24)
        y = wave + noise * rng.normal(size=count)
        parts.append(pl.DataFrame({"unique_id": [name] * count, "ds": hourly(count), "y": y}))
    return pl.concat(parts)


def wave(history: pl.DataFrame, horizon: int = 6) -> pl.DataFrame:
    """The noiseless truth behind `panel_frame`, with honest quantiles for noise of size 1."""
    rows = []
    for (name,), part in history.group_by("unique_id", maintain_order=True):
        last = part["ds"].max()
        step = np.arange(1, horizon + 1)
        ds = np.datetime64(last, "us") + step * np.timedelta64(3600, "s")
        hour = (ds - np.datetime64("2024-01-01", "us")) / np.timedelta64(3600, "s")
        mean = 10 * (1 + (name == "b")) + 5 * np.sin(2 * np.pi * hour / 24)
        columns = {"unique_id": [name] * horizon, "ds": ds, "mean": mean}
        columns |= {"q0.1": mean - 1.2816, "q0.5": mean, "q0.9": mean + 1.2816}
        rows.append(pl.DataFrame(columns))
    return pl.concat(rows)


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def frame() -> pl.DataFrame:
    return panel_frame()


# Test modules are imported on their own and cannot import this one: its functions reach them as fixtures.
@pytest.fixture
def make_task():
    return Task


@pytest.fixture
def make_frame():
    return panel_frame


@pytest.fixture
def hours():
    return hourly


@pytest.fixture
def truth():
    return wave
