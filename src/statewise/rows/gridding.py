"""From the columns of a frame to series on the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from statewise.rows.ahead import Ahead
from statewise.rows.check import check_levels
from statewise.rows.findings import Findings
from statewise.rows.frames import Cells
from statewise.rows.frequency import Frequency
from statewise.rows.schema import ForecastSchema
from statewise.rows.series import Series
from statewise.rows.table import Table

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Grid:
    """Where the rows of a table go when all series stand on the grid one after the other."""

    begin: Rows  # [S] first grid point of each series
    length: Rows  # [S] grid points of each series
    place: Rows  # [N] grid point of each row
    times: NDArray[np.datetime64]  # [sum of lengths]


def _grid(table: Table, frequency: Frequency) -> _Grid:
    start, stop = table.bounds()
    index = frequency.index(table.times)
    length = index[stop - 1] - index[start] + 1
    begin = np.concatenate([[0], np.cumsum(length)[:-1]])
    shift = begin - index[start]
    times = frequency.time(np.arange(int(length.sum())) - np.repeat(shift, length))
    return _Grid(begin, length, np.repeat(shift, stop - start) + index, times)


def grid_series(
    schema: ForecastSchema,
    table: Table,
    frequency: Frequency,
    columns: dict[str, Cells],
    ahead: Ahead | None,
    findings: Findings,
) -> tuple[Series, ...]:
    """Every series of `table` on the grid, with the known values `ahead` after its end; checks the levels."""
    grid = _grid(table, frequency)
    moving = (*schema.target, *schema.observed, *schema.known)
    values = np.full((len(grid.times), len(moving)), np.nan)
    for c, name in enumerate(moving):
        values[grid.place, c] = columns[name].values[table.row]
    check_levels(findings, moving, values, grid.begin, table, len(schema.target))
    static = [_static(name, columns[name], table, findings) for name in schema.static]
    categories = {name: c.categories for name, c in columns.items() if c.categories is not None}
    edges = np.cumsum([len(schema.target), len(schema.observed)])
    result = []
    for number, name in enumerate(table.names):
        part = slice(int(grid.begin[number]), int(grid.begin[number] + grid.length[number]))
        target, observed, known = np.split(values[part], edges, axis=1)
        if ahead is not None:
            known = np.concatenate([known, ahead.after(number)])
        constants = tuple(column[number] for column in static)
        result.append(Series(name, grid.times[part], target, observed, known, constants, categories))
    return tuple(result)


def _static(name: str, column: Cells, table: Table, findings: Findings) -> list[float | str | None]:
    """The one value of a static column per series, None where missing."""
    start, stop = table.bounds()
    values = column.values[table.row]
    low, high = np.fmin.reduceat(values, start), np.fmax.reduceat(values, start)
    varies = np.flatnonzero(low < high)
    if len(varies):
        rows = slice(int(start[varies[0]]), int(stop[varies[0]]))
        there = values[rows][~np.isnan(values[rows])]
        at = rows.start + int(np.argmax(~np.isnan(values[rows]) & (values[rows] != there[0])))
        text = f"static, but changes{table.of_series(at)} at row {table.row[at]}"
        findings.error(name, int(table.row[at]), f"{text}: make it observed or known.")
    texts = column.categories
    return [None if v != v else v if texts is None else texts[int(v)] for v in low.tolist()]
