"""One live session of one series: the model is shared and immutable, the state belongs to the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from statewise.core.errors import ConfigError, StreamError
from statewise.rows.forecast import ForecastCodec
from statewise.streaming.engines import Engine, EngineState
from statewise.streaming.event import Forecast, Provenance
from statewise.streaming.snapshot import Session, pack, unpack


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


class Stream:
    """Rows of one series in time order to forecasts, in constant time and memory per row.

    The engine reads (`now` [1, F], `future` [1, H, G]) and gives [1, D, H, 1 + Q]. Missing grid times are
    stepped through with missing values, so a stream equals the replay of its gridded series. A row that
    raises leaves the stream as it was.
    """

    __slots__ = (
        "_forecast",
        "_missing",
        "_state",
        "_static",
        "_static_part",
        "_steps",
        "_time",
        "codec",
        "config",
        "engine",
        "series_id",
    )

    def __init__(
        self,
        codec: ForecastCodec,
        engine: Engine,
        series_id: str = "",
        config: StreamConfig = StreamConfig(),
    ) -> None:
        self.codec = codec
        self.engine = engine
        self.series_id = series_id
        self.config = config
        self._static_part = codec.layout.now("static")
        self.reset()

    def reset(self) -> None:
        """Start anew, as if no row had been seen."""
        self._state: EngineState = self.engine.initial()
        self._time: np.datetime64 | None = None
        self._steps = 0
        self._missing = 0
        self._static: np.ndarray = self.codec.encode_static({})
        self._forecast: Forecast | None = None

    @property
    def forecast(self) -> Forecast | None:
        """The last forecast; None before the first row."""
        return self._forecast

    @property
    def time(self) -> np.datetime64 | None:
        """Inside time of the newest row; None before the first."""
        return self._time

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
        self._forecast = self._event(time, values, gap)
        return self._forecast

    def fork(self) -> Stream:
        """An independent copy that shares the model: for what-if rows that this stream must not see."""
        twin = Stream.__new__(Stream)
        for name in Stream.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def snapshot(self) -> bytes:
        """The session as bytes; `restore` goes on from them bit for bit, in any process."""
        return pack([self.session()], self.engine.model_hash)

    @staticmethod
    def restore(
        codec: ForecastCodec,
        engine: Engine,
        data: bytes,
        config: StreamConfig = StreamConfig(),
    ) -> Stream:
        """The stream that `snapshot` wrote. Raises StreamError for damage or a snapshot of another model."""
        sessions = unpack(data, engine.model_hash)
        if len(sessions) != 1:
            raise StreamError(f"snapshot: holds {len(sessions)} series, want one: restore it with Streams.")
        return Stream.of_session(codec, engine, sessions[0], config)

    def session(self) -> Session:
        """All that the stream is, apart from its model, as plain values and arrays."""
        last = self._forecast
        return Session(
            self.series_id,
            self._time,
            self._steps,
            self._missing,
            last.provenance.gap if last else 0,
            self._static,
            last.values if last else None,
            self.engine.dump(self._state),
        )

    @staticmethod
    def of_session(codec: ForecastCodec, engine: Engine, session: Session, config: StreamConfig) -> Stream:
        """The inverse of `session`."""
        stream = Stream(codec, engine, session.series_id, config)
        if session.static.shape != stream._static.shape:
            raise StreamError("snapshot: its static columns do not fit this model.")
        stream._state = engine.load(session.leaves)
        stream._time, stream._static = session.time, session.static
        stream._steps, stream._missing = session.steps, session.missing
        if session.time is not None and session.values is not None:
            stream._forecast = stream._event(session.time, session.values, session.gap)
        return stream

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

    def _event(self, time: np.datetime64, values: np.ndarray, gap: int) -> Forecast:
        warm = self._steps >= self.config.warm_steps
        provenance = Provenance(self._steps, self._missing, gap, warm, self.engine.model_hash)
        return Forecast(self.series_id, time, values, provenance, self.config.quantiles, self.codec)

    def _check_series(self, row: Mapping[str, Any]) -> None:
        column = self.codec.schema.id
        if self.series_id and column is not None and str(row.get(column, self.series_id)) != self.series_id:
            raise StreamError(f"{column}: got '{row[column]}', this stream is of series '{self.series_id}'.")
