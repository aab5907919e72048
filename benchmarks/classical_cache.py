"""Models of statsforecast as forecasters whose answers are kept in benchmarks/.cache: MSTL takes minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from benchmarks.recording import CACHE, installed, timed
from statewise.evaluation.comparison import Classical, classical
from statewise.rows.schema import ForecastSchema

MODELS = ("AutoETS", "AutoTheta", "MSTL")


@dataclass
class Cached:
    """One model under `settings`; `cpu` holds the seconds its answers took when they were made."""

    settings: Classical
    schema: ForecastSchema
    horizon: int
    seasons: tuple[int, ...]
    cpu: float = float("nan")

    def rolling(self, data: Any, cutoffs: Sequence[np.datetime64]) -> pl.DataFrame:
        """Forecasts from every cutoff, read from the cache when the same question was asked before."""
        schema = self.schema
        columns = [name for name in (schema.id, schema.time, *schema.target) if name]
        rows = pl.DataFrame(data).select(columns).filter(pl.col(schema.time) <= pl.lit(max(cutoffs).item()))
        path = CACHE / "statsforecast" / f"{self.settings.name}-{self._key(rows, cutoffs)}.parquet"
        if not path.is_file():
            print(f"{self.settings.name}: {len(cutoffs)} origins, kept in benchmarks/.cache from then on")
            model = classical(self.settings, schema, self.horizon, self.seasons)
            run = timed(lambda: model.rolling(rows, cutoffs))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".json").write_text(json.dumps({"cpu": run.cpu}), encoding="utf-8")
            run.found.write_parquet(path)
        self.cpu = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["cpu"]
        return pl.read_parquet(path)

    def _key(self, rows: pl.DataFrame, cutoffs: Sequence[np.datetime64]) -> str:
        asked = (
            self.settings,
            self.horizon,
            self.seasons,
            [str(cutoff) for cutoff in cutoffs],
            installed("statsforecast"),
        )
        return hashlib.sha256(repr(asked).encode() + rows.write_csv().encode()).hexdigest()[:20]


def opponents(schema: ForecastSchema, horizon: int, seasons: tuple[int, ...]) -> dict[str, Cached]:
    """AutoETS and AutoTheta (fitted at the first origin, then fed the growing history; the shortest season)
    and MSTL (all seasons, decomposed anew at every origin)."""
    bare = replace(schema, observed=(), known=(), static=())  # these models read the target alone
    return {name: Cached(Classical(name), bare, horizon, seasons) for name in MODELS}
