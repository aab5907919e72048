"""Settings every test shares: one thread, repeatable property tests, and where the large data sets lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch or NumPy load: small tensors are faster on one thread, and results repeat.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import polars as pl

    from statewise.models.forecast import ForecastModel
    from statewise.tasks.forecast import Forecast

settings.register_profile("statewise", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("statewise")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder named by STATEWISE_DATA; a test that asks for it is skipped without one."""
    folder = os.environ.get("STATEWISE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("STATEWISE_DATA names no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., pl.DataFrame]:
    """Hourly rows of series of different length, with every role, missing rows and missing values."""
    import numpy as np
    import polars as pl

    def make(lengths: tuple[int, ...] = (150, 90), seed: int = 0, missing: float = 0.1) -> pl.DataFrame:
        rng, parts = np.random.default_rng(seed), []
        for number, length in enumerate(lengths):
            hour = np.arange(length)
            humidity = rng.normal(50, 10, length)
            load = 20 + 5 * np.sin(2 * np.pi * hour / 24) + rng.normal(size=length) + 3 * (humidity > 60)
            columns = {
                "unique_id": [f"s{number}"] * length,
                "ds": [datetime(2024, 3, 29) + timedelta(hours=int(i)) for i in hour],
                "load": np.where(rng.random(length) < missing, np.nan, load),
                "price": 100 + rng.normal(size=length).cumsum(),
                "humidity": np.where(rng.random(length) < missing, np.nan, humidity),
                "day": np.where(hour // 24 % 7 < 5, "work", "free"),
                "size": [10.0 * number] * length,
            }
            kept = rng.random(length) >= missing
            kept[[0, -1]] = True
            parts.append(pl.DataFrame(columns).filter(pl.Series(kept)))
        return pl.concat(parts)

    return make


@pytest.fixture(scope="session")
def small_task() -> Forecast:
    """A task with every role, for `make_frame`."""
    from statewise.tasks.forecast import Forecast

    return Forecast(
        horizon=4,
        target=("load", "price"),
        observed=("humidity",),
        known=("day",),
        static=("size", "unique_id"),
        frequency="1h",
        lags=24,
    )


@pytest.fixture(scope="session")
def small_model(small_task: Forecast, make_frame: Callable[..., pl.DataFrame]) -> ForecastModel:
    """A model trained for a few steps."""
    from statewise.training.config import TrainConfig
    from statewise.training.fit import fit

    train = TrainConfig(steps=4, batch_size=4, validate_every=2, learning_rate=0.02, threads=1)
    return fit(small_task, make_frame(), hidden_size=4, train=train, progress=False)
