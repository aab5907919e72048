"""Rows with every role, a codec fitted on them, and the rows as a stream sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import Series, panel
from statewise.rows.schema import ForecastSchema

SCHEMA = ForecastSchema(
    target=("y", "z"), observed=("hum",), known=("price", "day"), static=("size", "kind"), frequency="1h"
)
HORIZON = 5
START = datetime(2024, 3, 30, 20)


def rows(length: int, seed: int = 0, keep: float = 0.8) -> pl.DataFrame:
    """Hourly rows of two series with gaps, empty cells, categories and the last HORIZON rows known ahead."""
    rng = np.random.default_rng(seed)
    parts = []
    for series in ("a", "b"):
        table = pl.DataFrame(
            {
                "unique_id": [series] * length,
                "ds": [START + timedelta(hours=i) for i in range(length)],
                "y": rng.normal(50, 9, length),
                "z": rng.integers(0, 9, length),
                "hum": np.where(rng.random(length) < 0.2, np.nan, rng.normal(size=length)),
                "price": rng.normal(size=length),
                "day": rng.choice(["work", "free", "feast"], length),
                "size": [3.5 if series == "a" else None] * length,
                "kind": ["big" if series == "a" else "small"] * length,
            }
        )
        parts.append(table.filter(pl.Series(rng.random(length) < keep)))
    return pl.concat(parts)


def codec(length: int = 400) -> ForecastCodec:
    return ForecastCodec.fit(panel(rows(length), SCHEMA), HORIZON)


def live(table: pl.DataFrame, series: Series, start: int) -> Iterator[dict[str, Any]]:
    """Rows as a stream sees them: each with the known values of the next HORIZON grid times."""
    names = series.categories["day"]
    for row in table.filter(pl.col("unique_id") == series.id).to_dicts():
        at = int((np.datetime64(row["ds"], "s") - series.time[0]) // np.timedelta64(3600, "s"))
        ahead = series.known[at + 1 : at + 1 + HORIZON]
        day = [None if np.isnan(value) else names[int(value)] for value in ahead[:, 1]]
        yield row | {"future": {"price": ahead[:, 0].tolist(), "day": day}}
