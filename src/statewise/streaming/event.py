"""What an update gives: the answer in the user's terms, and where it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.rows.forecast import ForecastCodec


class Event(ABC):
    """One answer: `values`, the numbers themselves, and `plain()`, what they say.

    `item` is what a snapshot keeps of the row, JSON-plain, to give the event again; None where it needs none.
    """

    values: NDArray[Any]
    item: Any = None

    @abstractmethod
    def plain(self) -> dict[str, Any]:
        """The answer and its provenance as JSON-plain values."""


class Provenance(NamedTuple):
    """How a forecast came about; counts are in steps of the series' grid since the session began."""

    steps: int  # all steps taken, missing ones included
    missing: int  # steps that had no row
    gap: int  # missing steps right before this row
    warm: bool  # as many steps as the model wants before its forecasts count
    model: str  # hash of weights, config and codec


class Forecast(Event):
    """One forecast of a series, made at `time` (inside time of the newest row).

    `values` [D, H, 1 + Q] are in units: the mean, then the quantiles.
    """

    def __init__(
        self,
        series_id: str,
        time: np.datetime64,
        values: NDArray[np.float64],
        provenance: Provenance,
        quantiles: tuple[float, ...],
        codec: ForecastCodec,
    ) -> None:
        self.series_id = series_id
        self.time = time
        self.values = values
        self.provenance = provenance
        self._quantiles = quantiles
        self._codec = codec

    @cached_property
    def rows(self) -> Sequence[dict[str, Any]]:
        """{ds, (target,) mean, q0.1, …} per step ahead (and target), built when first looked at."""
        return self._codec.forecast_rows(self.values, self.time, self._quantiles)

    def plain(self) -> dict[str, Any]:
        """The forecast and its provenance as JSON-plain values."""
        schema = self._codec.schema
        head = {schema.id: self.series_id} if schema.id else {}
        made_at = self._codec.clock.texts(np.array([self.time], dtype="datetime64[s]"))[0]
        return {**head, schema.time: made_at, "forecast": list(self.rows), **self.provenance._asdict()}

    def __repr__(self) -> str:
        return f"Forecast({self.series_id!r}, made at {self.time}, first {self.rows[0]}, {self.provenance})"


class ItemProvenance(NamedTuple):
    """How the answer to an item came about."""

    steps: int  # items taken since the session began
    model: str  # hash of weights, config and codec


class ItemEvent(Event):
    """The answer after one item of a sequence; `values` [...] is the network's output for it.

    `item` is the item as JSON-plain values; `answer` what the output says in the user's terms: a label so
    far, what may come next.
    """

    def __init__(
        self,
        name: str,
        item: Any,
        values: NDArray[Any],
        provenance: ItemProvenance,
        decode: Callable[[NDArray[Any]], dict[str, Any]],
    ) -> None:
        self.name = name
        self.item = item
        self.values = values
        self.provenance = provenance
        self._decode = decode

    @cached_property
    def answer(self) -> dict[str, Any]:
        """What the output says, JSON-plain; decoded when first looked at."""
        return self._decode(self.values)

    def plain(self) -> dict[str, Any]:
        """The session's name where it has one, the item, the answer and its provenance, JSON-plain."""
        head = {"id": self.name} if self.name else {}
        return {**head, "item": self.item, **self.answer, **self.provenance._asdict()}

    def __repr__(self) -> str:
        return f"ItemEvent({self.item!r}, {self.answer}, {self.provenance})"
