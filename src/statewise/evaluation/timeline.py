"""Rows in time order, cut at a moment: what a forecaster may see, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from statewise.evaluation.protocol import Frame
from statewise.rows.clock import Clock
from statewise.rows.frames import as_frame, codes, read, stamps
from statewise.rows.frequency import Frequency
from statewise.rows.panel import Panel, panel
from statewise.rows.schema import ForecastSchema
from statewise.rows.zones import zone

if TYPE_CHECKING:
    import narwhals as nw

Seconds = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Timeline:
    """A frame sorted by time, and the panel it makes. Cuts come back as the kind of frame that was given.

    Cutoffs are inside times of the panel (UTC, or the wall clock on grids of whole days).
    """

    frame: nw.DataFrame[Any]
    seconds: Seconds  # [N] inside time of each row, ascending
    panel: Panel

    @property
    def schema(self) -> ForecastSchema:
        """The schema with its frequency settled, so that every cut stands on the same grid."""
        return replace(self.panel.schema, frequency=self.panel.frequency.name)

    def history(self, cutoff: np.datetime64) -> Frame:
        """All rows with time ≤ cutoff.

        A series that goes on but has no row there gets one with missing values. A series joins with its
        first observed value: before that there is nothing to forecast from.
        """
        return self._past(cutoff).to_native()

    def future(self, cutoff: np.datetime64, horizon: int) -> Frame | None:
        """Id, time and known columns of the `horizon` steps after the cutoff; None without known columns."""
        if not self.panel.schema.known:
            return None
        after = self._after(cutoff, horizon)
        return after.select([*self._names(after), *self.panel.schema.known]).to_native()

    def until(self, cutoff: np.datetime64, horizon: int) -> Frame:
        """The history, then the rows of the next `horizon` steps with targets and observed columns empty."""
        import narwhals as nw

        past = self._past(cutoff)
        if not self.panel.schema.known:
            return past.to_native()
        ahead = self._after(cutoff, horizon)
        kept = [*self._names(ahead), *self.panel.schema.known, *self.panel.schema.static]
        return nw.concat([past, ahead.select(_once(kept))], how="diagonal").to_native()

    def written(self, cutoff: np.datetime64) -> datetime:
        """A cutoff as the rows write it: a datetime, with its offset where the rows carry a time zone."""
        return datetime.fromisoformat(self.panel.clock.texts(np.array([cutoff]))[0])

    def _count(self, cutoff: np.datetime64) -> int:
        return int(
            np.searchsorted(self.seconds, cutoff.astype("datetime64[s]").astype(np.int64), side="right")
        )

    def _after(self, cutoff: np.datetime64, horizon: int) -> nw.DataFrame[Any]:
        frequency = self.panel.frequency
        last = frequency.time(frequency.index(np.array([cutoff])) + horizon)[0]
        return self._take(self._rows(self._count(cutoff), self._count(last), cutoff))

    def _past(self, cutoff: np.datetime64) -> nw.DataFrame[Any]:
        rows = self._rows(0, self._count(cutoff), cutoff)
        return self._completed(self._take(rows), self.series_of_row[rows], self.seconds[rows], cutoff)

    def _rows(self, start: int, stop: int, cutoff: np.datetime64) -> slice | NDArray[np.int64]:
        """Rows from `start` to `stop` of the series that have joined by the cutoff."""
        joined = self._joined <= cutoff
        if joined.all():
            return slice(start, stop)
        return start + np.flatnonzero(joined[self.series_of_row[start:stop]])

    def _take(self, rows: slice | NDArray[np.int64]) -> nw.DataFrame[Any]:
        # Slices share memory with the frame; a list of rows copies.
        return self.frame[rows] if isinstance(rows, slice) else self.frame[rows.tolist()]

    @cached_property
    def _joined(self) -> NDArray[np.datetime64]:
        """When each series has shown a value of every target."""
        first = [np.argmax(~np.isnan(series.target), axis=0).max() for series in self.panel.series]
        return np.array([s.time[at] for s, at in zip(self.panel.series, first, strict=True)])

    def _names(self, frame: nw.DataFrame[Any]) -> list[str]:
        schema = self.panel.schema
        return [name for name in (schema.id, schema.time) if name is not None and name in frame.columns]

    @cached_property
    def series_of_row(self) -> NDArray[np.int64]:
        """Number of the series of each row, in order of the panel."""
        return series_numbers(self.frame, self.panel.schema.id, [series.id for series in self.panel.series])

    def _completed(
        self, past: nw.DataFrame[Any], number: NDArray[np.int64], seconds: Seconds, cutoff: np.datetime64
    ) -> nw.DataFrame[Any]:
        """Forecasters start after the newest row of each series, so that row has to be the cutoff's."""
        import narwhals as nw

        present = set(number[seconds == cutoff.astype("datetime64[s]").astype(np.int64)].tolist())
        every = enumerate(self.panel.series)
        going_on = [place for place, series in every if self._joined[place] <= cutoff < series.time[-1]]
        absent = [place for place in going_on if place not in present]
        if not absent:
            return past
        template = past[[int(np.argmax(number == place)) for place in absent]]
        kept = [name for name in self._names(past) if name != self.panel.schema.time]
        extra = template.select(_once([*kept, *self.panel.schema.static, self.panel.schema.time]))
        return nw.concat([past, extra.with_columns(self._stamp(cutoff))], how="diagonal")

    def _stamp(self, cutoff: np.datetime64) -> nw.Expr:
        """The cutoff as a literal of the time column's own type."""
        import narwhals as nw

        name = self.panel.schema.time
        dtype = self.frame.schema[name]
        if isinstance(dtype, nw.Datetime) or dtype == nw.Date:
            return nw.lit(self.written(cutoff)).cast(dtype).alias(name)
        return nw.lit(self.panel.clock.texts(np.array([cutoff]))[0]).alias(name)


def timeline(data: Any, schema: ForecastSchema) -> Timeline:
    """The timeline of a path or frame. Raises DataError as `rows.panel` does."""
    frame = as_frame(read(data))
    checked = panel(frame.to_native(), schema)
    ids = [series.id for series in checked.series]
    seconds = inside_seconds(frame, schema.time, series_numbers(frame, schema.id, ids), checked.clock)
    order = np.argsort(seconds, kind="stable")
    return Timeline(frame[order.tolist()] if (np.diff(seconds) < 0).any() else frame, seconds[order], checked)


def _once(names: Sequence[str]) -> list[str]:
    """Every name once: the id may be a static column too."""
    return list(dict.fromkeys(names))


def series_numbers(frame: nw.DataFrame[Any], name: str | None, ids: Sequence[str]) -> NDArray[np.int64]:
    """Place in `ids` of each row's series, -1 for a stranger; a frame without the id column is one series."""
    if name is None or name not in frame.columns:
        return np.zeros(len(frame), dtype=np.int64)
    table: dict[Any, int] = {}
    number = codes(frame[name], table)
    place = {text: index for index, text in enumerate(ids)}
    return np.array([place.get(str(value), -1) for value in table], dtype=np.int64)[number]


def inside_seconds(frame: nw.DataFrame[Any], name: str, series: NDArray[np.int64], clock: Clock) -> Seconds:
    """Inside times of a column of times: aware ones to the clock's own, wall times localised.

    Of the two passes of a double hour, a row is the second where its series wrote that wall time before.
    """
    column = stamps(frame[name])
    if clock.timezone is None:
        return column.seconds
    if clock.whole_days:
        return column.seconds if column.zone is None else zone(clock.timezone).to_local(column.seconds)
    if column.zone is not None:
        return column.seconds
    local = zone(clock.timezone).to_utc(column.seconds)
    seconds, seen = local.first.copy(), set()
    for row in np.flatnonzero(local.ambiguous).tolist():
        key = (int(series[row]), int(column.seconds[row]))
        if key in seen:
            seconds[row] = local.second[row]
        seen.add(key)
    return seconds


def grid_step(
    frequency: Frequency, times: NDArray[np.datetime64], cutoffs: NDArray[np.datetime64]
) -> Seconds:
    """Steps from each cutoff to each time, counted on the grid."""
    return frequency.index(times) - frequency.index(cutoffs)
