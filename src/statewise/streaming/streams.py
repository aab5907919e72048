"""Many live series of one model: a stream per id, made at its first row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statewise.core.errors import StreamError, suggestion
from statewise.rows.forecast import ForecastCodec
from statewise.streaming.engines import Engine
from statewise.streaming.event import Forecast
from statewise.streaming.session import Stream, StreamConfig
from statewise.streaming.snapshot import pack, unpack


class Streams:
    """Rows of many series, each in its own time order, to forecasts.

    A row without the id column belongs to the series "".
    """

    def __init__(
        self,
        codec: ForecastCodec,
        engine: Engine,
        config: StreamConfig = StreamConfig(),  # noqa: B008  (frozen)
    ) -> None:
        self.codec = codec
        self.engine = engine
        self.config = config
        self._streams: dict[str, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, series_id: str) -> Stream:
        if series_id not in self._streams:
            raise StreamError(f"streams: no such series '{series_id}'.{suggestion(series_id, self._streams)}")
        return self._streams[series_id]

    @property
    def ids(self) -> tuple[str, ...]:
        """Series seen so far, in the order of their first row."""
        return tuple(self._streams)

    def update(self, row: Mapping[str, Any]) -> Forecast:
        """The forecast of the row's series after it. Raises StreamError, with every stream unchanged."""
        column = self.codec.schema.id
        series_id = str(row[column]) if column is not None and row.get(column) is not None else ""
        stream = self._streams.get(series_id)
        if stream is not None:
            return stream.update(row)
        stream = Stream(self.codec, self.engine, series_id, self.config)
        forecast = stream.update(row)
        self._streams[series_id] = stream
        return forecast

    def forget(self, series_id: str) -> None:
        """Drop a series and its state."""
        del self._streams[self[series_id].series_id]

    def snapshot(self) -> bytes:
        """All sessions as bytes; `restore` goes on from them bit for bit, in any process."""
        return pack([stream.session() for stream in self._streams.values()], self.engine.model_hash)

    @staticmethod
    def restore(
        codec: ForecastCodec,
        engine: Engine,
        data: bytes,
        config: StreamConfig = StreamConfig(),  # noqa: B008  (frozen)
    ) -> Streams:
        """The streams that `snapshot` wrote. Raises StreamError for damage or a snapshot of another model."""
        streams = Streams(codec, engine, config)
        for session in unpack(data, engine.model_hash):
            streams._streams[session.series_id] = Stream.of_session(codec, engine, session, config)
        return streams
