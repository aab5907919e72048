"""Known columns of the times after a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.rows.check import check_cells, check_times
from statewise.rows.findings import Findings
from statewise.rows.frames import Cells, as_frame, cells, read, require
from statewise.rows.frequency import Frequency
from statewise.rows.schema import ForecastSchema
from statewise.rows.table import Table, read_table, to_wall

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
_FARTHEST = 1_000_000


@dataclass(frozen=True, eq=False)
class Ahead:
    """Known values on the grid after the last time of each series, sorted by series and step."""

    series: Rows  # [M]
    steps: Rows  # [M] 1 for the first time after the series' last
    values: Floats  # [M, K]

    def after(self, series: int) -> Floats:
        """Values [F, K] of one series from its first step ahead on; NaN where a step has no row."""
        first, last = np.searchsorted(self.series, [series, series + 1])
        steps = self.steps[first:last]
        later = np.full((int(steps[-1]) if len(steps) else 0, self.values.shape[1]), np.nan)
        later[steps - 1] = self.values[first:last]
        return later


def read_ahead(
    source: Any,
    schema: ForecastSchema,
    history: Table,
    frequency: Frequency,
    columns: dict[str, Cells],
    findings: Findings,
) -> Ahead:
    """The rows of `source` that lie after the history of their series; others are left out.

    New categories of a known column are added to its entry in `columns`. Raises DataError as `panel` does.
    """
    frame = as_frame(read(source))
    require(frame, [("future time", schema.time), *(("future known", name) for name in schema.known)])
    if not len(frame):
        return Ahead(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(schema.known))))
    later = to_wall(read_table(frame, schema, findings, dict(history.ids), history.clock))
    last = frequency.index(history.times[history.bounds()[1] - 1])
    later = later.keep(later.series < len(last))
    steps = frequency.index(later.times) - last[later.series]
    later, steps = later.keep(steps > 0), steps[steps > 0]
    check_times(findings, schema.time, later, frequency)
    if len(steps) and steps.max() > _FARTHEST:
        row = int(later.row[steps.argmax()])
        findings.error(
            schema.time, row, f"row {row}: {steps.max():,} steps after the history: look for a wrong date."
        )
    values = [_known(frame, name, columns, findings)[later.row] for name in schema.known]
    findings.stop()
    return Ahead(later.series, steps, np.stack(values, axis=1))


def _known(frame: Any, name: str, columns: dict[str, Cells], findings: Findings) -> Floats:
    history = columns[name]
    column = cells(frame[name], history.categories)
    if column.categories is not None and history.categories is None:
        findings.error(name, None, "the future rows hold text, the history numbers: use one kind.")
    check_cells(findings, name, column, "known")
    columns[name] = Cells(history.values, column.categories)
    return column.values
