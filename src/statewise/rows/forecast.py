"""Rows to the numbers a forecaster reads, and its numbers back to rows.

Whole series and live rows agree bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core import config
from statewise.core.errors import BundleError, ConfigError
from statewise.rows import columns as column_codes
from statewise.rows.calendar import PERIODS, calendar_features, calendar_names, calendar_periods
from statewise.rows.clock import Clock
from statewise.rows.columns import Column, Role
from statewise.rows.fitting import ROLES, fit_columns, phase_of, seasonal_profile
from statewise.rows.frequency import Frequency, Times
from statewise.rows.layout import Array, ForecastArrays, Layout
from statewise.rows.live import LiveRows
from statewise.rows.output import ForecastRows, forecast_frame
from statewise.rows.panel import Panel, Series, Settled, panel
from statewise.rows.schema import ForecastSchema


@dataclass(frozen=True, eq=False)
class ForecastCodec:
    """The torch-free half of a forecaster, fitted on training rows; plain values, exact in JSON."""

    schema: ForecastSchema
    frequency: Frequency
    clock: Clock
    horizon: int
    columns: tuple[Column, ...]  # targets, observed, known, static, in the schema's order
    profile: NDArray[np.float64]  # [n_phase, D] mean standardised target by phase of the longest season
    id_kind: str = "text"
    periods: tuple[str, ...] = PERIODS  # of the calendar: those the training rows went through twice

    @staticmethod
    def fit(panel: Panel, horizon: int) -> ForecastCodec:
        """Means, scales, categories and the seasonal profile of `panel`, which holds training rows only."""
        if horizon < 1:
            raise ConfigError(f"horizon: got {horizon}, want at least 1.")
        columns = tuple(fit_columns(panel))
        profile = seasonal_profile(panel, columns[: len(panel.schema.target)])
        periods = calendar_periods(panel.frequency, max(_span(s, panel.frequency) for s in panel.series))
        return ForecastCodec(
            panel.schema, panel.frequency, panel.clock, horizon, columns, profile, panel.id_kind, periods
        )

    @cached_property
    def layout(self) -> Layout:
        """Sizes and slices of the channels."""
        width = {role: sum(c.width for c in self.columns if c.role == role) for role in ROLES}
        return Layout(calendar=len(calendar_names(self.frequency, self.periods)), **width)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Name of each channel of `now`: "y", "humidity", "holiday=Easter", "sin day" …"""
        names = {role: [n for c in self.columns if c.role == role for n in c.channels] for role in ROLES}
        calendar = calendar_names(self.frequency, self.periods)
        return (*names["target"], *names["observed"], *names["known"], *calendar, *names["static"])

    @cached_property
    def target_mean(self) -> NDArray[np.float64]:
        """Level of each target [D]."""
        return np.array([column.mean for column in self._of("target")])

    @cached_property
    def target_scale(self) -> NDArray[np.float64]:
        """Scale of each target [D]."""
        return np.array([column.scale for column in self._of("target")])

    @property
    def season_lengths(self) -> tuple[int, ...]:
        """Usual seasons of the grid in steps, shortest first."""
        return self.frequency.season_lengths

    def panel(self, frame: Any, future: Any = None) -> Panel:
        """New rows checked and put on this codec's grid. Raises DataError when they do not fit it."""
        texts = frozenset(column.name for column in self.columns if column.categories is not None)
        return panel(frame, self.schema, future, Settled(self.frequency, self.clock, texts))

    def encode(self, series: Series) -> ForecastArrays:
        """The arrays of a whole series; what is not known of the next H times is NaN."""
        length, end = len(series), len(series) + self.horizon
        known = self._encode("known", series.known[:end], series)
        future = np.full((end, self.layout.future_size), np.nan, dtype=np.float32)
        future[: len(known), self.layout.future("known")] = known
        future[:, self.layout.future("calendar")] = self.calendar(self._grid(series, end))
        now = np.empty((length, self.layout.now_size), dtype=np.float32)
        now[:, self.layout.now("target")] = self._encode("target", series.target, series)
        now[:, self.layout.now("observed")] = self._encode("observed", series.observed, series)
        both = slice(self.layout.now("known").start, self.layout.now("calendar").stop)
        now[:, both] = future[:length]
        now[:, self.layout.now("static")] = self.encode_static(
            dict(zip(self.schema.static, series.static, strict=True))
        )
        return ForecastArrays(now, future)

    def encode_static(self, values: Mapping[str, Any]) -> Array:
        """The static channels of one series; absent or None is missing."""
        return self._live.encode_static(values)

    def encode_row(
        self, row: Mapping[str, Any], previous_time: np.datetime64 | int | None, static: Array | None = None
    ) -> tuple[int, Array, Array]:
        """One live row: (missing grid times since `previous_time`, `now` [F], `future` [H, G]).

        `row` maps columns to values; absent, None and NaN are missing. "future" may map known columns to
        lists of up to H values. `previous_time` is the inside time of the row before (`row_time`), None at
        first. Static columns come in the row or stay as in `static`. `future` may be a read-only view.
        Raises StreamError for unknown columns, text, infinities and times that do not follow on the grid.
        """
        return self._live.encode(row, previous_time, static)

    def row_time(
        self, row: Mapping[str, Any], previous_time: np.datetime64 | int | None = None
    ) -> np.datetime64:
        """Inside time of a live row, to be handed to the next `encode_row`."""
        return self._live.time(row, previous_time)

    def encode_gap(
        self, previous_time: np.datetime64 | int, gap: int, now: Array, future: Array
    ) -> tuple[Array, Array]:
        """`now` [gap, F] and `future` [gap, H, G] of the missing times before a row just encoded."""
        return self._live.encode_gap(previous_time, gap, now, future)

    def decode(self, array: NDArray[Any], axis: int) -> NDArray[np.float64]:
        """Standardised values with the D targets on `axis`, back in their units."""
        shape = [1] * array.ndim
        shape[axis] = len(self.target_mean)
        return np.asarray(array * self.target_scale.reshape(shape) + self.target_mean.reshape(shape))

    def phase(self, times: Times) -> NDArray[np.int64]:
        """Row of `profile` for each inside time, by the clock on the wall."""
        return phase_of(times, len(self.profile), self.frequency, self.clock)

    def times_after(self, last_time: np.datetime64, steps: int) -> Times:
        """The next `steps` inside times of the grid."""
        index = self.frequency.index(np.array([last_time], dtype="datetime64[s]"))
        return self.frequency.time(index + np.arange(1, steps + 1))

    def forecast_rows(
        self, decoded: NDArray[Any], last_time: np.datetime64, quantiles: Sequence[float] = ()
    ) -> Sequence[dict[str, Any]]:
        """One dict per time (and target): ds as ISO text, mean, q0.1 …; built when first looked at.

        `decoded` [D, H, 1 + Q] holds the mean, then the quantiles; `quantiles` default to equal steps.
        """
        return ForecastRows(self, decoded, last_time, quantiles)

    def forecast_frame(
        self,
        ids: Sequence[str],
        cutoffs: Times,
        decoded: NDArray[Any],
        quantiles: Sequence[float],
        like: Any = None,
    ) -> Any:
        """Forecasts `decoded` [N, D, H, 1 + Q] made after `cutoffs` [N], as a frame of the kind of `like`."""
        return forecast_frame(self, ids, cutoffs, decoded, quantiles, like)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal codec."""
        return {
            "schema": config.to_mapping(self.schema),
            "frequency": config.to_mapping(self.frequency),
            "clock": config.to_mapping(self.clock),
            "horizon": self.horizon,
            "columns": [column_codes.to_mapping(column) for column in self.columns],
            "profile": self.profile.tolist(),
            "id_kind": self.id_kind,
            "periods": list(self.periods),
        }

    @staticmethod
    def from_json(plain: Mapping[str, Any] | str) -> ForecastCodec:
        """The codec `to_json` wrote. Raises BundleError when something is missing, unknown or ill-typed."""
        values = json.loads(plain) if isinstance(plain, str) else plain
        try:
            stored = config.from_mapping(_Stored, values, "codec")
        except ConfigError as error:
            raise BundleError(str(error)) from None
        profile = np.array(stored.profile, dtype=np.float64)
        codec = ForecastCodec(
            stored.schema,
            stored.frequency,
            stored.clock,
            stored.horizon,
            stored.columns,
            profile,
            stored.id_kind,
            stored.periods,
        )
        names = tuple(column.name for column in stored.columns)
        if (
            names != stored.schema.values
            or profile.ndim != 2
            or profile.shape[1] != len(stored.schema.target)
        ):
            raise BundleError("codec: columns or profile do not fit the schema.")
        return codec

    @cached_property
    def _live(self) -> LiveRows:
        return LiveRows(self)

    def _of(self, role: Role) -> list[Column]:
        return [column for column in self.columns if column.role == role]

    def _encode(self, role: Role, values: NDArray[np.float64], series: Series) -> NDArray[np.float64]:
        parts = [
            column.encode(values[:, i], series.categories.get(column.name))
            for i, column in enumerate(self._of(role))
        ]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(values), 0))

    def _grid(self, series: Series, end: int) -> Times:
        if not len(series):
            return (
                np.empty(0, dtype="datetime64[s]")
                if not end
                else self.times_after(np.datetime64(0, "s"), end)
            )
        return self.frequency.time(self.frequency.index(series.time[:1]) + np.arange(end))

    def calendar(self, times: Times) -> Array:
        """The calendar channels [T, C] of inside times."""
        return calendar_features(times, self.frequency, self.clock.timezone, self.periods)


def _span(series: Series, frequency: Frequency) -> int:
    """Seconds from the first row to the end of the last one's step: 48 hours' rows last two days."""
    if not len(series):
        return 0
    end = frequency.time(frequency.index(series.time[-1:]) + 1)[0]
    return int((end - series.time[0]).astype(np.int64))


@dataclass(frozen=True)
class _Stored:
    """The JSON form of a codec."""

    schema: ForecastSchema
    frequency: Frequency
    clock: Clock
    horizon: int
    columns: tuple[Column, ...]
    profile: tuple[tuple[float, ...], ...]
    id_kind: str = "text"
    periods: tuple[str, ...] = PERIODS
