"""The rows of a frame sorted by series and time, their times moved to the inside clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError
from statewise.rows.clock import Clock
from statewise.rows.findings import Findings, first_row, row_list
from statewise.rows.frames import Stamps, codes, require, stamps
from statewise.rows.frequency import DAY, Frequency, Times, infer, parse
from statewise.rows.schema import ForecastSchema
from statewise.rows.zones import zone

Rows = NDArray[np.int64]
ONE_SERIES = "series"  # the id of a frame without an id column
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Table:
    """Rows sorted by series and time; `ids` numbers the series in order of appearance."""

    ids: dict[Any, int]
    series: Rows  # [N] number of the series
    seconds: Rows  # [N] inside seconds
    row: Rows  # [N] row in the frame
    clock: Clock = field(default_factory=Clock)

    @property
    def times(self) -> Times:
        """Inside times [N], datetime64[s]."""
        return self.seconds.astype("datetime64[s]")

    @property
    def names(self) -> list[str]:
        """Ids as text."""
        return [str(name) for name in self.ids]

    def bounds(self) -> tuple[Rows, Rows]:
        """First row of each series, and the row after its last."""
        edge = np.flatnonzero(np.diff(self.series)) + 1
        return np.concatenate([[0], edge]), np.concatenate([edge, [len(self.series)]])

    def keep(self, mask: NDArray[np.bool_] | Rows) -> Table:
        """The rows of `mask`, or the rows numbered by it in that order."""
        return replace(self, series=self.series[mask], seconds=self.seconds[mask], row=self.row[mask])

    def time_text(self, at: int) -> str:
        """Time of the table's row `at` as the user writes it: "2024-05-01 13:00:00"."""
        return self.clock.texts(self.times[at : at + 1])[0].replace("T", " ")

    def of_series(self, at: int) -> str:
        """ " of series 'A'" for the table's row `at`, empty when there is one series only."""
        return f" of series '{self.names[self.series[at]]}'" if len(self.ids) > 1 else ""

    def in_series(self, numbers: Sequence[int] | Rows) -> str:
        """ " in 2 of 5 series ('A', 'B')", empty when there is one series only."""
        if len(self.ids) == 1:
            return ""
        shown = ", ".join(f"'{self.names[i]}'" for i in numbers[:_SHOWN])
        more = ", …" if len(numbers) > _SHOWN else ""
        return f" in {len(numbers):,} of {len(self.ids):,} series ({shown}{more})"

    def sorted(self) -> Table:
        """Sorted by series and time; rows of one time keep their order."""
        if ((np.diff(self.series) > 0) | ((np.diff(self.series) == 0) & (np.diff(self.seconds) >= 0))).all():
            return self
        return self.keep(np.lexsort((self.row, self.seconds, self.series)))


def read_table(
    frame: Any, schema: ForecastSchema, findings: Findings, ids: dict[Any, int], settled: Clock | None
) -> Table:
    """Times and series of a narwhals frame, checked and sorted. New ids are added to `ids`.

    `settled` is the clock of a fitted codec or of the history, which these rows have to follow.
    """
    column = stamps(frame[schema.time])
    _check_stamps(findings, schema.time, column)
    number = _series(frame, schema, findings, ids)
    findings.stop()
    clock = _clock(column, schema, settled)
    wall = schema.timezone is not None and column.zone is None  # two rows may share an hour on the wall
    table = _by_series(Table(ids, number, column.seconds, np.arange(len(number))), schema, findings, wall)
    if wall and not _on_days(table, schema, settled):
        table = _localised(table, schema, findings)
    return replace(table.sorted(), clock=clock)


def settle(table: Table, schema: ForecastSchema, given: Frequency | None) -> tuple[Table, Frequency]:
    """The grid of a table (given, the schema's, or inferred), and the table on the clock of that grid."""
    wanted = given or (parse(schema.frequency) if schema.frequency else None)
    if wanted is None:
        wanted = infer(table.times, table.series)
        if (
            table.clock.aware and wanted.count % DAY == 0
        ):  # 24 h in UTC may be months or business days on the wall
            wall = to_wall(replace(table, clock=replace(table.clock, whole_days=True)))
            wanted = infer(wall.times, wall.series)
    table = to_wall(replace(table, clock=replace(table.clock, whole_days=wanted.whole_days)))
    return table, given or wanted.anchored(table.times)


def to_wall(table: Table) -> Table:
    """A day grid's aware times moved from UTC to the wall clock; any other table as it is."""
    clock = table.clock
    if not (clock.aware and clock.whole_days and clock.timezone):
        return table
    return replace(table, seconds=zone(clock.timezone).to_local(table.seconds))


def _series(frame: Any, schema: ForecastSchema, findings: Findings, ids: dict[Any, int]) -> Rows:
    if schema.id is None or (schema.id == "unique_id" and schema.id not in frame.columns):
        ids.setdefault(ONE_SERIES, 0)
        return np.zeros(len(frame), dtype=np.int64)
    require(frame, [("id", schema.id)])
    empty = np.flatnonzero(frame[schema.id].is_null().to_numpy().astype(bool))
    if len(empty):
        findings.error(schema.id, int(empty[0]), f"no id in {row_list(empty)}: name the series.")
    return codes(frame[schema.id], ids)


def _clock(column: Stamps, schema: ForecastSchema, settled: Clock | None) -> Clock:
    got = Clock(column.zone or schema.timezone, column.zone is not None)
    if settled is None:
        return got
    if got.aware != settled.aware or (got.timezone is None) != (settled.timezone is None):
        want = f"want {settled.describe()} as in the rows before"
        raise DataError(f"{schema.time}: got {got.describe()}, {want}: convert the times.")
    return settled


def _check_stamps(findings: Findings, name: str, column: Stamps) -> None:
    if column.missing.any():
        where = row_list(np.flatnonzero(column.missing))
        findings.error(name, first_row(column.missing), f"no time in {where}: drop them.")
    for row, text in list(column.unreadable.items())[:_SHOWN]:
        more = f" ({len(column.unreadable):,} such rows)" if len(column.unreadable) > 1 else ""
        want = f"want ISO text such as '2024-05-01 13:00:00'{more}: parse it first"
        findings.error(name, row, f"row {row}: got {text}, {want}.")
    fraction = column.fraction & ~column.missing
    if fraction.any():
        where = row_list(np.flatnonzero(fraction))
        findings.error(
            name, first_row(fraction), f"fraction of a second in {where}: round the times to the grid."
        )


def _by_series(table: Table, schema: ForecastSchema, findings: Findings, wall: bool) -> Table:
    """Series brought together, each in the order of its rows; warns of rows that go back in time."""
    if (np.diff(table.series) < 0).any():
        small = table.series.astype(np.uint16) if len(table.ids) < 2**16 else table.series  # a radix sort
        table = table.keep(np.argsort(small, kind="stable"))
    back = (np.diff(table.series) == 0) & (np.diff(table.seconds) < (-2 * 3600 if wall else 0))
    if back.any():
        where = np.sort(table.row[1:][back])
        findings.warning(schema.time, f"times go back in {row_list(where)}: sorted.", int(where[0]))
    return table


def _on_days(table: Table, schema: ForecastSchema, settled: Clock | None) -> bool:
    """Whether wall times stand on a grid of whole days, which knows no clock change."""
    if settled is not None:
        return settled.whole_days
    if schema.frequency is not None:
        return parse(schema.frequency).whole_days
    local = table.sorted()
    try:
        return infer(local.times, local.series).whole_days
    except DataError:
        return False


def _localised(table: Table, schema: ForecastSchema, findings: Findings) -> Table:
    """Wall times to UTC; the two readings of a double hour go to its rows in their order."""
    local = zone(schema.timezone or "UTC").to_utc(table.seconds)
    skipped = np.flatnonzero(local.missing)
    for at in skipped[:_SHOWN]:
        what = f"row {table.row[at]}: {table.time_text(at)} does not exist in {schema.timezone}"
        remedy = "the clock skips that hour; drop the row, or pass the zone the times were written in"
        findings.error(schema.time, int(table.row[at]), f"{what}: {remedy}.")
    if len(skipped) > _SHOWN:
        findings.error(schema.time, None, f"{len(skipped):,} such rows in all.")
    findings.stop()
    utc = local.first.copy()
    later = _second_readings(table, local.first, local.ambiguous)
    utc[later] = local.second[later]
    return replace(table, seconds=utc)


def _second_readings(table: Table, first: Rows, ambiguous: NDArray[np.bool_]) -> list[int]:
    """Rows of a double hour that mean its second pass.

    In a series written in order that is a row whose first reading is not after the row before it (as a live
    stream decides too); in any other, a row whose wall time stood there before.
    """
    result: list[int] = []
    clear = np.flatnonzero(~ambiguous)
    back = (np.diff(first[clear]) < 0) & (np.diff(table.series[clear]) == 0)
    unordered = set(table.series[clear][1:][back].tolist())
    seen: set[tuple[int, int]] = set()
    last_at, last = -1, 0
    for at in np.flatnonzero(ambiguous).tolist():
        series, reading = int(table.series[at]), int(first[at])
        if series in unordered:
            later = (series, reading) in seen
            seen.add((series, reading))
        else:
            before = last if last_at == at - 1 else int(first[at - 1])
            later = at > 0 and table.series[at - 1] == series and reading <= before
        last_at, last = at, reading + 3600 * later
        if later:
            result.append(at)
    return result
