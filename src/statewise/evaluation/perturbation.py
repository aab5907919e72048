"""Rows changed on purpose: the future poisoned, the newest observation nudged."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from statewise.evaluation.protocol import Frame
from statewise.evaluation.timeline import Timeline, inside_seconds, series_numbers
from statewise.rows.frames import as_frame

# What happens to the rows after the cutoff. Loud on purpose: any statistic that sees them moves far.
POISONS = ("wild values", "wild values of the opposite sign", "more rows appended")
_FACTOR = 100.0


def poisoned(rows: Timeline, cutoff: np.datetime64, poison: str) -> Frame:
    """The rows with targets and observed columns after the cutoff made wild, or with wild rows appended."""
    schema = rows.panel.schema
    frame = rows.frame.to_polars()
    after = rows.seconds > cutoff.astype("datetime64[s]").astype(np.int64)
    sign = -1.0 if poison == POISONS[1] else 1.0
    if poison == POISONS[2]:
        frame = pl.concat([frame, _appended(rows, frame, cutoff)], how="diagonal_relaxed")
        after = np.concatenate([after, np.ones(len(frame) - len(after), dtype=bool)])
        # Only what was appended turns wild: the other rows after the cutoff stay as they were.
        after[: len(rows.seconds)] = False
    columns = [_wild(frame[name], after, sign) for name in (*schema.target, *schema.observed)]
    return _like(frame.with_columns(columns), rows)


def nudged(rows: Timeline, before: Frame, cutoff: np.datetime64, target: str, size: float) -> Frame:
    """`before` with `size` added to the newest known value of `target` up to the cutoff, in every series."""
    schema = rows.panel.schema
    frame = as_frame(before)
    number = series_numbers(frame, schema.id, [series.id for series in rows.panel.series])
    seconds = inside_seconds(frame, schema.time, number, rows.panel.clock)
    table = frame.to_polars()
    values = table[target].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    usable = ~np.isnan(values) & (seconds <= cutoff.astype("datetime64[s]").astype(np.int64))
    for series in np.unique(number):
        mine = np.flatnonzero(usable & (number == series))
        values[mine[np.argmax(seconds[mine])]] += size
    return _like(table.with_columns(pl.Series(target, values).fill_nan(None)), rows)


def spread(rows: Timeline, cutoff: np.datetime64) -> NDArray[np.float64]:
    """Standard deviation of each target up to the cutoff [D] (1 if constant), the unit of movements."""
    values = np.concatenate([series.target[series.time <= cutoff] for series in rows.panel.series])
    return np.array([_deviation(column) for column in values.T])


def _deviation(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.std()) or 1.0 if len(known) else 1.0


def _wild(column: pl.Series, after: NDArray[np.bool_], sign: float) -> pl.Series:
    """Where `after`: far off in the mean and in the spread. Missing values stay missing."""
    where = pl.Series(after)
    if not column.dtype.is_numeric():
        # Text and truth values cannot be wild: their order is turned round instead.
        return column.reverse().zip_with(where, column).alias(column.name)
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    shift = sign * _FACTOR * _deviation(values[~after]) * (1.0 + 0.5 * np.cos(np.arange(len(values))))
    return pl.Series(column.name, np.where(after, values + shift, values)).fill_nan(None)


def _appended(rows: Timeline, frame: pl.DataFrame, cutoff: np.datetime64) -> pl.DataFrame:
    """Up to 48 more rows per series after its last, each a copy of that last row.

    A series that ended before the cutoff gets none: they would lie before it, and be no future.
    """
    frequency = rows.panel.frequency
    parts = []
    for number, series in enumerate(rows.panel.series):
        if series.time[-1] < cutoff:
            continue
        last = frequency.index(series.time[-1:])[0]
        times = frequency.time(last + np.arange(1, min(len(series), 48) + 1))
        place = int(np.flatnonzero(rows.series_of_row == number)[-1])
        copies = frame[np.full(len(times), place).tolist()]
        parts.append(copies.with_columns(_stamps(rows, frame.schema[rows.panel.schema.time], times)))
    return pl.concat(parts)


def _stamps(rows: Timeline, dtype: pl.DataType, times: NDArray[np.datetime64]) -> pl.Series:
    name = rows.panel.schema.time
    if dtype == pl.String:
        return pl.Series(name, rows.panel.clock.texts(times))
    clock = rows.panel.clock
    if clock.aware and isinstance(dtype, pl.Datetime):
        utc = pl.Series(name, clock.instants(times).astype("datetime64[us]")).dt.replace_time_zone("UTC")
        return utc.dt.convert_time_zone(dtype.time_zone or "UTC").cast(dtype)
    return pl.Series(name, clock.wall(times).astype("datetime64[us]")).cast(dtype)


def _like(table: pl.DataFrame, rows: Timeline) -> Frame:
    """The table as the kind of frame the user gave."""
    if rows.frame.implementation.is_pandas():
        return table.to_pandas()
    return table.to_arrow() if rows.frame.implementation.is_pyarrow() else table
