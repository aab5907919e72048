"""Many live sessions of one model: a stream per name, made at its first row."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from statewise.core.errors import StreamError, suggestion
from statewise.streaming.event import Event
from statewise.streaming.snapshot import pack, unpack
from statewise.streaming.stream import Stream

Live = TypeVar("Live", bound=Stream[Any])


class Streams(Generic[Live]):
    """Rows of many sessions, each in its own order, to events.

    Every session begins as `start` does: a stream of the model that has seen nothing. The row says which
    session it belongs to (a forecaster's id column, the "id" beside an item); without one, the session "".
    """

    def __init__(self, start: Live) -> None:
        self.start = start
        self._streams: dict[str, Live] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, name: str) -> Live:
        if name not in self._streams:
            raise StreamError(f"streams: no such series '{name}'.{suggestion(name, self._streams)}")
        return self._streams[name]

    @property
    def ids(self) -> tuple[str, ...]:
        """Sessions seen so far, in the order of their first row."""
        return tuple(self._streams)

    def update(self, row: Any) -> Event:
        """The event of the row's session after it. Raises StreamError, with every stream unchanged."""
        name = self.start.key(row)
        known = self._streams.get(name)
        stream = self.start.named(name) if known is None else known
        event: Event = stream.update(row)
        self._streams[name] = stream
        return event

    def forget(self, name: str) -> None:
        """Drop a session and its state."""
        del self._streams[self[name].name]

    def snapshot(self) -> bytes:
        """All sessions as bytes; `restore` goes on from them bit for bit, in any process."""
        return pack([stream.session() for stream in self._streams.values()], self.start.engine.model_hash)

    def restore(self, data: bytes) -> None:
        """Go on where `snapshot` was taken. Raises StreamError, unchanged, for damage or another model."""
        found = {}
        for session in unpack(data, self.start.engine.model_hash):
            found[session.name] = self.start.named(session.name)
            found[session.name].resume(session)
        self._streams = found
