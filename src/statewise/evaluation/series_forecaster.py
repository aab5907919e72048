"""Forecasters that treat every series and target on its own: the frame work that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from statewise.evaluation.protocol import Frame
from statewise.rows.panel import Panel, Series, panel
from statewise.rows.schema import ForecastSchema

Array = NDArray[np.float64]
DEFAULT_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class SeriesMethod(Protocol):
    """Forecasts of one series from several positions in one pass."""

    def __call__(
        self, values: Array, positions: Sequence[int], horizon: int, levels: Sequence[float]
    ) -> Iterator[tuple[Array, Array]]:
        """Point forecasts [H] and quantiles [H, Q] per position; later values must play no part."""


@dataclass(frozen=True)
class SeriesForecaster:
    """A `SeriesMethod` as a forecaster of frames; a `RollingForecaster` too."""

    name: str
    method: SeriesMethod
    schema: ForecastSchema
    horizon: int
    quantiles: tuple[float, ...] = DEFAULT_QUANTILES

    def __call__(self, history: Frame, future: Frame | None = None) -> pl.DataFrame:
        """Forecasts of the `horizon` steps after the newest row of every series."""
        rows = panel(history, self.schema)
        parts = [
            part.drop("cutoff")
            for series in rows.series
            for part in self._forecasts(rows, series, np.array([len(series) - 1]))
        ]
        return pl.concat(parts)

    def rolling(self, data: Frame, cutoffs: Sequence[np.datetime64]) -> pl.DataFrame:
        """Forecasts from every cutoff, as if called on the rows up to it; none before a series begins."""
        rows = panel(data, self.schema)
        wanted = rows.frequency.index(np.array(cutoffs, dtype="datetime64[s]"))
        parts: list[pl.DataFrame] = []
        for series in rows.series:
            positions = wanted - rows.frequency.index(series.time[:1])
            inside = positions[(positions >= 0) & (positions < len(series))]
            parts += self._forecasts(rows, series, inside)
        return pl.concat(parts) if parts else pl.DataFrame()

    def _forecasts(self, rows: Panel, series: Series, positions: NDArray[np.int64]) -> Iterator[pl.DataFrame]:
        schema = self.schema
        start = rows.frequency.index(series.time[:1])
        cutoffs = _written(rows, rows.frequency.time(start + positions))
        ahead = positions[:, None] + np.arange(1, self.horizon + 1)
        times = _written(rows, rows.frequency.time(start + ahead.reshape(-1)))
        for number, target in enumerate(schema.target):
            found = list(
                self.method(series.target[:, number], positions.tolist(), self.horizon, self.quantiles)
            )
            if not found:
                continue
            size = len(found) * self.horizon
            means, quantiles = (np.concatenate(part) for part in zip(*found, strict=True))
            ids = pl.Series([series.id]).cast(pl.Int64 if rows.id_kind == "number" else pl.String)
            columns = {schema.id or "unique_id": ids.new_from_index(0, size), schema.time: times}
            if len(schema.target) > 1:
                columns["target"] = pl.Series([target]).new_from_index(0, size)
            columns["cutoff"] = cutoffs.gather(np.repeat(np.arange(len(found)), self.horizon))
            columns["mean"] = pl.Series(means)
            columns |= {f"q{level:g}": pl.Series(quantiles[:, q]) for q, level in enumerate(self.quantiles)}
            yield pl.DataFrame(columns)


def _written(rows: Panel, times: NDArray[np.datetime64]) -> pl.Series:
    """Inside times as rows could hold them: on the wall, or in UTC where they carry a time zone."""
    clock = rows.clock
    if clock.aware:
        return pl.Series(clock.instants(times).astype("datetime64[us]")).dt.replace_time_zone("UTC")
    return pl.Series(clock.wall(times).astype("datetime64[us]"))
