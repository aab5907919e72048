"""Small rows with a known answer, comparisons that take a second, and losses made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import statewise as sw
from statewise.comparing.losses import Losses
from statewise.comparing.report import ComparisonReport
from statewise.evaluation.answers import Questions
from statewise.training.config import TrainConfig

HORIZON = 4
QUICK = TrainConfig(steps=2, batch_size=4, validate_every=1)
START = np.datetime64("2024-01-01", "us")


def hourly(y: np.ndarray, **more: np.ndarray) -> pl.DataFrame:
    ds = START + np.arange(len(y)) * np.timedelta64(3600, "s")
    return pl.DataFrame({"unique_id": ["a"] * len(y), "ds": ds, "y": y, **more})


def seasonal_walk(days: int = 16) -> pl.DataFrame:
    """Every hour of the day walks at random from day to day: nothing forecasts it better than a day ago."""
    rng = np.random.default_rng(0)
    return hourly((10 * rng.normal(size=24) + rng.normal(size=(days, 24)).cumsum(axis=0)).reshape(-1))


def driven(hours: int = 900) -> pl.DataFrame:
    """y = product of the last two signs of an observed x: no line through any lags can tell, memory can."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=hours)
    y = np.concatenate([[0.0, 0.0], x[1:-1] * x[:-2]]) + 0.02 * rng.normal(size=hours)
    return hourly(y, x=x)


@pytest.fixture
def rows() -> pl.DataFrame:
    return seasonal_walk()


@pytest.fixture
def driven_rows() -> pl.DataFrame:
    return driven()


@pytest.fixture
def quick() -> Callable[..., ComparisonReport]:
    """`sw.compare` in this process with few steps and no statsforecast, changed by its arguments."""

    def run(data: Any, cells: Any = ("lstm",), **changes: Any) -> ComparisonReport:
        task = changes.pop("task", sw.Forecast(horizon=HORIZON, lags=24))
        settings: dict[str, Any] = {
            "budget": None,
            "seeds": 1,
            "parameters": 1500,
            "train": QUICK,
            "origins": 6,
            "classical": (),
            "processes": 0,
            "progress": False,
        }
        return sw.compare(task, data, cells, **{**settings, **changes})

    return run


@pytest.fixture
def questions() -> Questions:
    """30 origins of one series, one target, two steps; every scale is 1."""
    shape = (30, 1, 1, 2)
    times = START + np.arange(60).reshape(30, 2)
    return Questions(("a",), ("y",), times[:, 0], times, np.zeros(shape), np.ones((1, 1)), 24)


@pytest.fixture
def losses() -> Callable[..., Losses]:
    """Losses of the shape of `questions`, about `level` with noise of size `noise`."""

    def make(level: float, noise: float = 0.0, seed: int = 0) -> Losses:
        rng = np.random.default_rng(seed)
        error = (level + noise * rng.normal(size=(30, 1, 1, 2))).astype(np.float32)
        return Losses(error, error, np.ones_like(error))

    return make
