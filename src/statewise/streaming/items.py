"""Live sequences of items (words, characters, vectors): an item in, an answer out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from statewise.core.errors import StreamError
from statewise.streaming.engines import Engine
from statewise.streaming.event import ItemEvent, ItemProvenance
from statewise.streaming.plain import plain
from statewise.streaming.snapshot import Session
from statewise.streaming.stream import Stream


class ItemCodec(Protocol):
    """Items to numbers and outputs to what the user reads: NumPy, no torch, plain values in the bundle."""

    def encode_item(self, item: Any) -> tuple[np.ndarray, ...]:
        """The arrays of one step, of fixed shapes without a batch axis. Raises StreamError."""

    def decode_output(self, output: np.ndarray) -> dict[str, Any]:
        """What an output [...] of one step says, as JSON-plain values."""


class ItemStream(Stream[ItemEvent]):
    """Items of one sequence in order to answers, in constant time and memory per item.

    The engine reads the codec's arrays with a batch axis of 1. An item may come as {"item": …}, with an "id"
    that names its session. An item that raises leaves the stream as it was.
    """

    __slots__ = ("codec",)

    def __init__(self, codec: ItemCodec, engine: Engine, name: str = "") -> None:
        self.codec = codec
        super().__init__(engine, name)

    def key(self, row: Any) -> str:
        """The "id" of a row {"id": …, "item": …}."""
        named = isinstance(row, Mapping) and "item" in row and row.get("id") is not None
        return str(row["id"]) if named else ""

    def update(self, row: Any) -> ItemEvent:
        """The answer after one more item. Raises StreamError, with the stream as it was."""
        item = self._item(row)
        inputs = self.codec.encode_item(item)
        output, state = self.engine.step(tuple([part[None] for part in inputs]), self._state)
        values = output[0]
        if np.isnan(values).any():
            raise StreamError(
                f"answer {self._steps + 1}: got a value that is not a number; the stream is as before that "
                "item. Leave the item out, or start anew with reset()."
            )
        self._state = state
        self._steps += 1
        self._event = self._answer(self.name, plain(item), values, self._steps)
        return self._event

    def _item(self, row: Any) -> Any:
        """The item of a row {"id": …, "item": …}; any other row is the item itself."""
        if not isinstance(row, Mapping) or "item" not in row:
            return row
        if odd := sorted(map(str, set(row) - {"id", "item"})):
            raise StreamError(f'row: no such key \'{odd[0]}\', want "item" and, for its session, "id".')
        if self.name and str(row.get("id", self.name)) != self.name:
            raise StreamError(f"id: got '{row['id']}', this stream is of session '{self.name}'.")
        return row["item"]

    def _answer(self, name: str, item: Any, values: np.ndarray, steps: int) -> ItemEvent:
        provenance = ItemProvenance(steps, self.engine.model_hash)
        return ItemEvent(name, item, values, provenance, self.codec.decode_output)

    def _resume(self, session: Session) -> ItemEvent | None:
        if session.values is None:
            return None
        return self._answer(session.name, session.item, session.values, session.counts["steps"])
