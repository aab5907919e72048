"""Rows as a live source sends them, and the numbers of a forecast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from statewise.training.config import TrainConfig

QUICK = TrainConfig(steps=2, batch_size=4, validate_every=0, threads=1)
VALUES = ["mean", *(f"q0.{i}" for i in range(1, 10))]


def numbers(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(VALUES).to_numpy()


def live_rows(frame: pl.DataFrame, series: str, horizon: int = 4) -> Iterator[dict[str, Any]]:
    """The rows of a series as a source sends them, each with what is known of the next hours."""
    days = dict(frame.filter(pl.col("unique_id") == series).select("ds", "day").iter_rows())
    for row in frame.filter(pl.col("unique_id") == series).iter_rows(named=True):
        ahead = [days.get(row["ds"] + timedelta(hours=k)) for k in range(1, horizon + 1)]
        yield row | {"future": {"day": ahead}}
