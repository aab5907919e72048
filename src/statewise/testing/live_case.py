"""What `check_stream` needs to know of a kind of model: its rows live, and its answers in one whole pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise.models.forecast import ForecastModel
from statewise.models.model import Model
from statewise.rows.panel import Series
from statewise.rows.source import live_rows
from statewise.tasks.forecaster import forecasts_at
from statewise.testing.task import sent

_WILD = 1e3  # what a fork of a forecaster is fed: far off, so that a shared state would show


class LiveCase(ABC):
    """One series or sequence as rows that a live source sends."""

    name: str  # of the session
    rows: Sequence[Any]

    @abstractmethod
    def whole(self) -> Sequence[NDArray[Any]]:
        """The answer after every row, from one pass over all of them."""

    @abstractmethod
    def wild(self, row: int) -> Any:
        """Something else in place of a row."""

    @abstractmethod
    def bad(self, row: int) -> Mapping[str, Any]:
        """What must not be taken after the rows before this one, by what is wrong with it."""

    @abstractmethod
    def at(self, row: int) -> str:
        """Where a row stands, for an error."""

    @abstractmethod
    def number(self, place: tuple[int, ...]) -> str:
        """Which number of an answer stands at `place`, for an error."""


def live_cases(model: Model, data: Any, count: int, rows: int) -> Iterator[LiveCase]:
    """The first `rows` rows of up to `count` series or sequences of `data`."""
    if isinstance(model, ForecastModel):
        panel = model.codec.panel(data)
        for part in panel.series[:count]:
            yield ForecastCase(model, part.head(rows, model.task.horizon))
        return
    sequences = [items for items in model.items(data) if items]
    for number, items in enumerate(sequences[:count]):
        yield ItemCase(model, number, items[:rows], sequences[number - 1])


class ForecastCase(LiveCase):
    """A series whose missing times are not sent."""

    def __init__(self, model: ForecastModel, series: Series) -> None:
        self.model, self.series, self.name = model, series, series.id
        codec = model.codec
        every = live_rows(series, codec.schema, codec.clock, model.task.horizon)
        pairs = zip(every, sent(series, codec.clock), strict=True)
        self.places, self.rows = zip(
            *((t, row) for t, (row, there) in enumerate(pairs) if there), strict=True
        )

    def whole(self) -> list[NDArray[np.float64]]:
        """In units, [D, H, 1 + Q] each."""
        codec = self.model.codec
        now, future = (torch.from_numpy(part).unsqueeze(0) for part in codec.encode(self.series))
        positions = torch.arange(len(self.series))
        made, _ = forecasts_at(self.model.forecaster, now, future, positions)
        decoded = codec.decode(made[0].numpy(), 1)
        return [decoded[place] for place in self.places]

    def wild(self, row: int) -> Any:
        """Targets that are far off."""
        codec = self.model.codec
        levels = zip(codec.schema.target, codec.target_mean, codec.target_scale, strict=True)
        return self.rows[row] | {name: float(mean + _WILD * scale) for name, mean, scale in levels}

    def bad(self, row: int) -> dict[str, Any]:
        """Columns, values and times that do not fit."""
        schema, good = self.model.codec.schema, self.rows[row]
        return {
            "a row with an unknown column": good | {f"{schema.target[0]}?": 1.0},
            "a row with an infinite value": good | {schema.target[-1]: float("inf")},
            "a row with text for a number": good | {schema.target[0]: "high"},
            "a row without a time": {name: value for name, value in good.items() if name != schema.time},
            "a row from the past": good | {schema.time: self.rows[row - 1][schema.time]},
        }

    def at(self, row: int) -> str:
        return f"series '{self.name}' at {self.rows[row][self.model.codec.schema.time]}"

    def number(self, place: tuple[int, ...]) -> str:
        return f"for step {place[1] + 1} ahead"


class ItemCase(LiveCase):
    """A sequence of items; `others` are items of another one."""

    def __init__(self, model: Model, number: int, items: Sequence[Any], others: Sequence[Any]) -> None:
        self.model, self.sequence, self.rows, self.others = model, number, items, others
        self.name = str(number)

    def whole(self) -> list[NDArray[Any]]:
        """What the live recurrence gives for the encoded items as one sequence."""
        encoded = zip(*(self.model.codec.encode_item(item) for item in self.rows), strict=True)
        parts = tuple(torch.from_numpy(np.stack(column)).unsqueeze(0) for column in encoded)
        with torch.no_grad():
            outputs, _ = self.model.live(parts[0] if len(parts) == 1 else parts)
        return list(outputs[0].numpy())

    def wild(self, row: int) -> Any:
        """Another item, where there is one."""
        candidates = [*self.rows, *self.others]
        return next((item for item in candidates if repr(item) != repr(self.rows[row])), self.rows[row])

    def bad(self, row: int) -> dict[str, Any]:
        """What is an item of no kind."""
        return {
            "a list of nothing": [],
            "a list of tables": [{}],
            "an item with an unknown key beside it": {"item": self.rows[row], "tiem": 0},
            "an item of another session": {"item": self.rows[row], "id": f"not {self.name}"},
        }

    def at(self, row: int) -> str:
        return f"sequence {self.sequence}, item {row} ({self.rows[row]!r})"

    def number(self, place: tuple[int, ...]) -> str:
        return f"at {list(place)}"
