"""The check of times and values, in sentences that name the column, the row and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from statewise.rows.findings import Findings, first_row, row_list
from statewise.rows.frames import Cells
from statewise.rows.frequency import DAY, Frequency
from statewise.rows.table import Table

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
_SHOWN = 3
_ENOUGH = 10  # rows of a series: fewer may skip every second step by chance
_USUAL_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY)


def check_times(findings: Findings, name: str, table: Table, frequency: Frequency) -> None:
    """Duplicates and rows off the grid; raises what was found."""
    check_duplicates(findings, name, table)
    check_grid(findings, name, table, frequency)
    findings.stop()


def check_duplicates(findings: Findings, name: str, table: Table) -> None:
    """Two rows of a series at one time."""
    same = np.flatnonzero((np.diff(table.series) == 0) & (np.diff(table.seconds) == 0))
    for at in same[:_SHOWN]:
        what = f"duplicate time {table.time_text(at)}{table.of_series(at)}"
        where = f"rows {table.row[at]} and {table.row[at + 1]}"
        findings.error(name, int(table.row[at + 1]), f"{what} in {where}: keep one row per time.")
    if len(same) > _SHOWN:
        findings.error(name, None, f"{len(same):,} duplicate times in all.")
    if len(same) and table.clock.timezone is None and _like_clock_change(table.seconds[same]):
        text = "they look like the hour the clock goes back: pass timezone=, such as 'Europe/Berlin'."
        findings.error(name, None, text)
    elif len(table.ids) == 1 and len(same) > len(table.row) // 3:
        findings.error(name, None, "several series in one frame? Name the column that tells them apart: id=.")


def check_grid(findings: Findings, name: str, table: Table, frequency: Frequency) -> None:
    """Rows between the grid points: mixed frequency, jitter, another phase."""
    off = np.flatnonzero(frequency.off_grid(table.times))
    for at in off[:_SHOWN]:
        where = f"row {table.row[at]}: {table.time_text(at)}{table.of_series(at)}"
        nearest = table.clock.texts(_nearest(frequency, table.times[at]))[0].replace("T", " ")
        findings.error(
            name, int(table.row[at]), f"{where} is off the {frequency.name} grid (nearest: {nearest})."
        )
    if len(off):
        finer = _finer(frequency, table.seconds)
        remedy = f"pass frequency='{finer}', whose grid holds every row, or " if finer else ""
        count = f"{len(off):,} of {len(table.row):,} rows are off the grid"
        findings.error(name, None, f"{count}: {remedy}round or drop them.")


def check_span(findings: Findings, name: str, table: Table, frequency: Frequency) -> None:
    """Gaps (a warning), and a grid that would be absurdly long because of one wrong date (an error)."""
    index = frequency.index(table.times)
    missing = np.where(np.diff(table.series) == 0, np.diff(index) - 1, 0)
    at = np.flatnonzero(missing)
    if not len(at):
        return
    worst, total = int(missing.argmax()), int(missing.sum())
    largest = f"largest: {missing[worst]:,} after {table.time_text(worst)}{table.of_series(worst)}"
    if total > max(100 * len(index), 1_000_000):
        text = f"gaps would fill {total:,} points of the {frequency.name} grid for {len(index):,} rows"
        findings.error(name, int(table.row[worst + 1]), f"{text} ({largest}): look for a wrong date.")
        findings.stop()
    count = f"{len(at):,} gaps" if len(at) > 1 else "1 gap"
    spread = (
        f" in {len(np.unique(table.series[at])):,} of {len(table.ids):,} series" if len(table.ids) > 1 else ""
    )
    text = f"{count}, {total:,} missing times{spread} ({largest}): filled with missing values."
    findings.warning(name, text, int(table.row[worst + 1]))


def check_mixed(findings: Findings, name: str, table: Table, frequency: Frequency) -> None:
    """Series that keep a coarser step than the inferred grid's, such as daily rows among hourly ones."""
    start, stop = table.bounds()
    index = frequency.index(table.times)
    for number in np.flatnonzero(stop - start >= _ENOUGH):
        step = int(np.gcd.reduce(np.diff(index[start[number] : stop[number]])))
        if step > 1:
            own = Frequency(frequency.unit, frequency.count * step).name
            what = f"series '{table.names[number]}' has a step of {own}, the grid {frequency.name}"
            remedy = "fit such series apart, or pass frequency= to read them with gaps"
            findings.error(name, int(table.row[start[number]]), f"mixed frequency: {what}: {remedy}.")
            return


def check_cells(findings: Findings, name: str, column: Cells, role: str) -> None:
    """Infinities anywhere, text in a target."""
    if column.categories is not None:
        if role == "target":
            row = first_row(~np.isnan(column.values))
            text = column.categories[int(column.values[row])]
            findings.error(
                name, row, f"row {row}: got text '{text}', a target wants numbers: cast the column."
            )
        return
    infinite = np.isinf(column.values)
    if infinite.any():
        where = row_list(np.flatnonzero(infinite))
        remedy = "replace it by a number or leave it empty"
        findings.error(name, first_row(infinite), f"infinite value in {where}: {remedy}.")


def check_levels(
    findings: Findings, names: Sequence[str], values: Floats, starts: Rows, table: Table, targets: int
) -> None:
    """All-missing and constant columns and missing shares of gridded `values` [N, C], the first ones targets.

    Series begin at `starts`.
    """
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    share = np.isnan(values).mean(axis=0)
    several = np.diff(starts, append=len(values)) > 1  # one row alone is not constant
    for c, name in enumerate(names):
        empty = np.flatnonzero(np.isnan(low[:, c]))
        if c < targets and len(empty):
            remedy = "drop such series" if len(table.ids) > 1 else "give it values"
            findings.error(name, None, f"every value is missing{table.in_series(empty)}: {remedy}.")
        elif len(empty) == len(starts):
            findings.warning(name, "every value is missing: leave the column out.")
        constant = np.flatnonzero((low[:, c] == high[:, c]) & several)
        everywhere = len(constant) and np.nanmin(low[:, c]) == np.nanmax(high[:, c])
        if len(constant) and (c < targets or everywhere):
            which = "" if everywhere else table.in_series(constant)
            findings.warning(name, f"constant{which}: there is nothing to learn from it.")
        if 0 < share[c] < 1:
            findings.warning(name, f"{_percent(share[c])} of {len(values):,} grid points are missing.")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "under 0.1 %"


def _nearest(frequency: Frequency, time: np.datetime64) -> NDArray[np.datetime64]:
    before = frequency.index(np.array([time]))
    around = frequency.time(np.concatenate([before, before + 1]))
    closest = int(np.abs(around - time).argmin())
    return around[closest : closest + 1]


def _finer(frequency: Frequency, seconds: Rows) -> str | None:
    """Name of the coarsest usual grid (a minute to a day) that holds every time."""
    if frequency.unit == "M":
        return None
    step = int(np.gcd.reduce(seconds - seconds[0]))
    if frequency.unit == "s":
        step = int(np.gcd(step, frequency.count))
    fits = [size for size in _USUAL_STEPS if step and step % size == 0]
    finer = [size for size in fits if frequency.unit == "B" or size < frequency.count]
    return Frequency("s", finer[-1]).name if finer else None


def _like_clock_change(seconds: Rows) -> bool:
    """Whether all times lie in the first four hours of a Saturday or Sunday, as clock changes do."""
    days, second = np.divmod(seconds, DAY)
    return bool((second < 4 * 3600).all() and np.isin((days + 3) % 7, (5, 6)).all())
