"""Live forecasts of one series: rows on a grid of times, the missing ones stepped through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from statewise.core.errors import ConfigError, StreamError
from statewise.rows.forecast import ForecastCodec
from statewise.streaming.engines import Engine, EngineState
from statewise.streaming.event import Forecast, Provenance
from statewise.streaming.snapshot import Session
from statewise.streaming.stream import Stream

_NEVER = np.iinfo(np.int64).min  # the time of a session that has seen no row


@dataclass(frozen=True)
class StreamConfig:
    """`quantiles` that the engine's output holds after the mean; a stream is warm after `warm_steps`.

    A gap of more than `max_gap` missing steps is refused.
    """

    quantiles: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    warm_steps: int = 0
    max_gap: int = 1000

    def __post_init__(self) -> None:
        if self.max_gap < 0:
            raise ConfigError(f"max_gap: got {self.max_gap}, want 0 or more.")


class ForecastStream(Stream[Forecast]):
    """Rows of one series in time order to forecasts, in constant time and memory per row.

    The engine reads (`now` [1, F], `future` [1, H, G]) and gives [1, D, H, 1 + Q]. Missing grid times are
    stepped through with missing values, so a stream equals the replay of its gridded series. A row that
    raises leaves the stream as it was.
    """

    __slots__ = ("_gap", "_missing", "_static", "_static_part", "_time", "codec", "config")

    def __init__(
        self,
        codec: ForecastCodec,
        engine: Engine,
        series_id: str = "",
        config: StreamConfig = StreamConfig(),
    ) -> None:
        self.codec = codec
        self.config = config
        self._static_part = codec.layout.now("static")
        super().__init__(engine, series_id)

    def reset(self) -> None:
        """Start anew, as if no row had been seen."""
        super().reset()
        self._time: np.datetime64 | None = None
        self._missing = 0
        self._static: np.ndarray = self.codec.encode_static({})

    @property
    def forecast(self) -> Forecast | None:
        """The last forecast; None before the first row."""
        return self.event

    @property
    def time(self) -> np.datetime64 | None:
        """Inside time of the newest row; None before the first."""
        return self._time

    @property
    def scale(self) -> np.ndarray:
        """The targets' scales, [D, 1, 1]."""
        return self.codec.target_scale.reshape(-1, 1, 1)

    @property
    def unit(self) -> str:
        """Answers are measured in scales of the target."""
        return " of the target's scale"

    def key(self, row: Mapping[str, Any]) -> str:
        """The value of the id column, as text."""
        column = self.codec.schema.id
        return str(row[column]) if column is not None and row.get(column) is not None else ""

    def update(self, row: Mapping[str, Any]) -> Forecast:
        """The forecast after one more row: column names to values; None, NaN or absent is missing.

        Static columns stay as last given. Known columns of the next H steps may stand in row["future"].
        Raises StreamError, with the stream unchanged, for a row that does not fit or does not follow.
        """
        codec, before = self.codec, self._time
        self._check_series(row)
        gap, now, future = codec.encode_row(row, before, self._static)
        time = codec.row_time(row, before)
        state = self._state
        if gap:
            state = self._bridge(state, gap, now, future)
        output, state = self.engine.step((now[None], future[None]), state)
        values = codec.decode(output[0], 0)
        if not np.isfinite(values).all():
            raise StreamError(
                f"forecast after {time}: got a value that is not finite; the stream is as before that row. "
                "Leave the row out, or start anew with reset()."
            )
        self._state, self._time, self._static = state, time, now[self._static_part]
        self._steps += gap + 1
        self._missing += gap
        self._event = self._made(self.name, time, values, (self._steps, self._missing, gap))
        return self._event

    def _bridge(self, state: EngineState, gap: int, now: np.ndarray, future: np.ndarray) -> EngineState:
        """The state after the `gap` missing grid times before a row."""
        if gap > self.config.max_gap:
            raise StreamError(
                f"gap: {gap} steps are missing since {self._time}, at most {self.config.max_gap}. "
                "Start anew with reset(), or raise max_gap."
            )
        assert self._time is not None
        nows, futures = self.codec.encode_gap(self._time, gap, now, future)
        for step in range(gap):
            _, state = self.engine.step((nows[step : step + 1], futures[step : step + 1]), state)
        return state

    def _made(
        self, name: str, time: np.datetime64, values: np.ndarray, counts: tuple[int, int, int]
    ) -> Forecast:
        warm = counts[0] >= self.config.warm_steps
        provenance = Provenance(*counts, warm, self.engine.model_hash)
        return Forecast(name, time, values, provenance, self.config.quantiles, self.codec)

    def _check_series(self, row: Mapping[str, Any]) -> None:
        column = self.codec.schema.id
        if self.name and column is not None and str(row.get(column, self.name)) != self.name:
            raise StreamError(f"{column}: got '{row[column]}', this stream is of series '{self.name}'.")

    def _counts(self) -> dict[str, int]:
        seconds = _NEVER if self._time is None else int(self._time.astype("datetime64[s]").astype(np.int64))
        gap = self._event.provenance.gap if self._event else 0
        return {"time": seconds, "missing": self._missing, "gap": gap}

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"static": self._static}

    def _resume(self, session: Session) -> Forecast | None:
        static, seconds = session.arrays["static"], session.counts["time"]
        steps, missing, gap = (session.counts[name] for name in ("steps", "missing", "gap"))
        if static.shape != self._static.shape:
            raise StreamError("snapshot: its static columns do not fit this model.")
        self._time = None if seconds == _NEVER else np.datetime64(seconds, "s")
        self._missing, self._static = missing, static
        if self._time is None or session.values is None:
            return None
        return self._made(session.name, self._time, session.values, (steps, missing, gap))
