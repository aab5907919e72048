"""One live session of any kind of model: the model is shared, the state belongs to the session."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

import numpy as np

from statewise.core.errors import StreamError
from statewise.streaming.engines import Engine, EngineState
from statewise.streaming.event import Event
from statewise.streaming.snapshot import DAMAGED, Session, pack, unpack

Answer = TypeVar("Answer", bound=Event)


class Stream(ABC, Generic[Answer]):
    """One observation at a time to one event each, in constant time and memory.

    A kind of stream says how a row becomes steps of the engine and an output an event; the rest is the same
    for all: the state, its count of steps, forks, snapshots. A row that raises leaves the stream as it was.
    Nothing that a stream holds is changed in place, so forks may share it.
    """

    __slots__ = ("_event", "_state", "_steps", "engine", "name")

    def __init__(self, engine: Engine, name: str = "") -> None:
        self.engine = engine
        self.name = name
        self.reset()

    @abstractmethod
    def update(self, row: Any) -> Answer:
        """The event after one more row. Raises StreamError, with the stream as it was."""

    @abstractmethod
    def key(self, row: Any) -> str:
        """The name of the session that a row belongs to; "" where it names none."""

    @property
    def scale(self) -> np.ndarray | float:
        """What a difference between two answers is measured in."""
        return 1.0

    @property
    def unit(self) -> str:
        """Words for `scale`, to follow a number."""
        return ""

    def reset(self) -> None:
        """Start anew, as if no row had been seen."""
        self._state: EngineState = self.engine.initial()
        self._steps = 0
        self._event: Answer | None = None

    @property
    def event(self) -> Answer | None:
        """The last event; None before the first row."""
        return self._event

    def fork(self) -> Self:
        """An independent copy that shares the model: for what-if rows that this stream must not see."""
        return copy.copy(self)

    def named(self, name: str) -> Self:
        """A new stream of the same model, for another session."""
        twin = copy.copy(self)
        twin.name = name
        twin.reset()
        return twin

    def snapshot(self) -> bytes:
        """The session as bytes; `restore` goes on from them bit for bit, in any process."""
        return pack([self.session()], self.engine.model_hash)

    def restore(self, data: bytes) -> None:
        """Go on where `snapshot` was taken. Raises StreamError, unchanged, for damage or another model."""
        sessions = unpack(data, self.engine.model_hash)
        if len(sessions) != 1:
            raise StreamError(f"snapshot: holds {len(sessions)} series, want one: restore it with Streams.")
        self.resume(sessions[0])

    def session(self) -> Session:
        """All that the stream is, apart from its model, as plain values and arrays."""
        last = self._event
        return Session(
            self.name,
            {"steps": self._steps, **self._counts()},
            self._arrays(),
            last.values if last else None,
            self.engine.dump(self._state),
            last.item if last else None,
        )

    def resume(self, session: Session) -> None:
        """The inverse of `session`. Raises StreamError, with the stream unchanged, when it does not fit."""
        state = self.engine.load(session.leaves)
        try:
            event = self._resume(session)
        except KeyError:
            raise StreamError(DAMAGED) from None
        self.name, self._state = session.name, state
        self._steps, self._event = session.counts["steps"], event

    def _counts(self) -> Mapping[str, int]:
        """Further whole numbers that the session consists of."""
        return {}

    def _arrays(self) -> Mapping[str, np.ndarray]:
        """Further arrays that the session consists of."""
        return {}

    @abstractmethod
    def _resume(self, session: Session) -> Answer | None:
        """Takes the kind's own counts and arrays; gives the last event. Raises before anything is changed."""
