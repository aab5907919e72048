"""A frame, checked and put on its grid."""

from __future__ import annotations

from typing import Any

from statewise.core.errors import DataError
from statewise.rows.ahead import read_ahead
from statewise.rows.check import check_cells, check_mixed, check_span, check_times
from statewise.rows.findings import Findings
from statewise.rows.frames import Cells, as_frame, cells, read, require
from statewise.rows.gridding import grid_series
from statewise.rows.schema import ForecastSchema
from statewise.rows.series import Panel, Series, Settled
from statewise.rows.table import read_table, settle

__all__ = ["Panel", "Series", "Settled", "panel"]
_VALUE_ROLES = ("target", "observed", "known", "static")


def panel(frame: Any, schema: ForecastSchema, future: Any = None, settled: Settled | None = None) -> Panel:
    """Check a long frame and put it on its grid.

    `frame` is any pandas, polars or Arrow frame, or a path; `future` holds the known columns of later times
    (rows at or before the end of their series are left out). `settled` fixes what a fitted model expects.
    Raises one DataError with a line per error; warnings are kept in `findings`.
    """
    findings = Findings()
    rows = as_frame(read(frame))
    require(rows, [(role, name) for role, names in schema.roles.items() if role != "id" for name in names])
    if not len(rows):
        raise DataError("data: the frame has no rows.")
    table = read_table(rows, schema, findings, {}, settled.clock if settled else None)
    table, frequency = settle(table, schema, settled.frequency if settled else None)
    check_times(findings, schema.time, table, frequency)
    if settled is None and schema.frequency is None:
        check_mixed(findings, schema.time, table, frequency)
    check_span(findings, schema.time, table, frequency)
    columns = _columns(rows, schema, findings, settled)
    findings.stop()
    ahead = None
    if future is not None and schema.known:
        ahead = read_ahead(future, schema, table, frequency, columns, findings)
    series = grid_series(schema, table, frequency, columns, ahead, findings)
    findings.stop()
    id_kind = "number" if all(type(name) is int for name in table.ids) else "text"
    return Panel(schema, frequency, table.clock, series, tuple(findings.found), id_kind)


def _columns(
    frame: Any, schema: ForecastSchema, findings: Findings, settled: Settled | None
) -> dict[str, Cells]:
    columns = {}
    for role in _VALUE_ROLES:
        for name in schema.roles[role]:
            as_text = name == schema.id or (settled is not None and name in settled.texts)
            column = columns[name] = cells(frame[name], () if as_text else None)
            if settled is not None and not as_text and role != "target" and column.categories is not None:
                findings.error(name, None, "got text, the model was trained on numbers: cast the column.")
            check_cells(findings, name, column, role)
    return columns
