"""A small forecaster for the stream's tests: a real codec, and a network of ten lines in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from statewise.bundle import check_leaves
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema

HORIZON = 4
QUANTILES = (0.1, 0.5, 0.9)
START = datetime(2024, 1, 1)
SCHEMA = ForecastSchema(target=("y", "z"), observed=("humidity",), known=("holiday",), static=("area",))


def make_rows(count: int, series_id: str = "a", seed: int = 0) -> list[dict[str, Any]]:
    """Hourly rows without gaps; some values are missing."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for hour in range(count):
        y, z, humidity = generator.normal(size=3)
        rows.append(
            {
                "unique_id": series_id,
                "ds": START + timedelta(hours=hour),
                "y": 30 + 5 * y if generator.random() > 0.1 else None,
                "z": 1000 * z,
                "humidity": float(humidity),
                "holiday": float(hour // 24 % 7 == 0),
                "area": 3.5,
            }
        )
    return rows


class NumpyEngine:
    """A recurrence of ten lines: the state keeps a decayed memory of every input and a count."""

    def __init__(self, codec: ForecastCodec, model_hash: str = "abc") -> None:
        generator = np.random.default_rng(1)
        size, width = codec.layout.now_size, 1 + len(QUANTILES)
        self.weight = generator.normal(size=(size, 2, HORIZON, width)).astype(np.float32)
        self.known = generator.normal(size=codec.layout.future_size).astype(np.float32)
        self.model_hash = model_hash
        self.poisoned = False
        self.template = {"memory": np.zeros((1, size), np.float32), "count": np.zeros(1, np.int64)}

    def initial(self) -> tuple[np.ndarray, ...]:
        return tuple(leaf.copy() for leaf in self.template.values())

    def step(self, inputs: tuple[np.ndarray, ...], state: Any) -> tuple[np.ndarray, Any]:
        now, future = inputs
        assert now.shape == (1, len(self.weight))
        assert future.shape == (1, HORIZON, len(self.known))
        memory, count = state
        memory = memory * np.float32(0.9) + np.nan_to_num(now) - np.float32(0.3) * np.isnan(now)
        output = np.einsum("bf,fdhq->bdhq", memory, self.weight)
        output = output + (np.nan_to_num(future) @ self.known)[:, None, :, None]
        if self.poisoned:
            output = output * np.nan
        return output, (memory, count + 1)

    def dump(self, state: Any) -> dict[str, np.ndarray]:
        return {name: leaf.copy() for name, leaf in zip(self.template, state, strict=True)}

    def load(self, leaves: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        check_leaves(leaves, self.template)
        return tuple(leaves[name].copy() for name in self.template)


@pytest.fixture(scope="session", name="make_rows")
def make_rows_fixture() -> Callable[..., list[dict[str, Any]]]:
    return make_rows


@pytest.fixture(scope="session")
def codec() -> ForecastCodec:
    return ForecastCodec.fit(panel(pl.DataFrame(make_rows(400)), SCHEMA), HORIZON)


@pytest.fixture
def engine(codec: ForecastCodec) -> NumpyEngine:
    return NumpyEngine(codec)
