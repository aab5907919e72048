"""The law for live sessions of a model: updates, forks, snapshots and rows that must not be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise.core.errors import LawError, StreamError
from statewise.model import EngineName, Model
from statewise.rows.panel import Series
from statewise.rows.source import live_rows
from statewise.streaming.session import Stream
from statewise.tasks.forecaster import forecasts_at
from statewise.testing.task import sent

Row = dict[str, Any]
_WILD = 1e3  # what a fork is fed: far off, so that a shared state would show


def check_stream(
    model: Model,
    data: Any,
    *,
    engine: EngineName = "torch",
    series: int = 3,
    rows: int = 200,
    tolerance: float = 1e-3,
) -> None:
    """Prove that live sessions of `model` on `data` keep the law, or raise LawError saying what broke where.

    For the first `rows` rows of up to `series` series: every update gives the forecast of the whole pass, the
    missing times between rows included, within `tolerance` of the target's scale; an update of a fork leaves
    the stream as it was, and the other way round; a restored snapshot goes on bit for bit; a row that does
    not fit or does not follow is refused and changes nothing.
    """
    panel = model.codec.panel(data)
    for part in panel.series[:series]:
        part = part.head(rows, model.task.horizon)
        every = live_rows(part, panel.schema, panel.clock, model.task.horizon)
        pairs = zip(every, sent(part, panel.clock), strict=True)
        places, given = zip(*((t, row) for t, (row, there) in enumerate(pairs) if there), strict=True)
        case = _Session(model, part, engine, given, places)
        case.check_updates(tolerance)
        if len(given) > 1:
            case.check_forks()
            case.check_snapshots()
            case.check_refusals()


class _Session:
    """One series as rows, with the grid position of each."""

    def __init__(
        self, model: Model, series: Series, engine: EngineName, rows: Sequence[Row], places: Sequence[int]
    ) -> None:
        self.model, self.series, self.engine = model, series, engine
        self.rows, self.places = rows, places
        self.middle = len(rows) // 2

    def check_updates(self, tolerance: float) -> None:
        """Law item 2: steps equal the whole."""
        stream, whole = self.model.stream(self.series.id, self.engine), self._whole()
        scale = self.model.codec.target_scale.reshape(-1, 1, 1)
        for row, place in zip(self.rows, self.places, strict=True):
            values = self._taken(stream, row, "a row of the series").values
            if values.shape != whole[place].shape:
                raise self._broken(row, f"update gives {values.shape}, the whole pass {whole[place].shape}")
            gap = np.abs(values - whole[place]) / scale
            if not gap.max() <= tolerance:
                at = np.unravel_index(int(np.nan_to_num(gap, nan=np.inf).argmax()), gap.shape)
                raise self._broken(
                    row,
                    f"update gives {values[at]:.6g} for step {at[1] + 1} ahead, the whole pass "
                    f"{whole[place][at]:.6g}, {gap[at]:.2g} of the target's scale apart",
                )
            if stream.forecast is None or not np.array_equal(stream.forecast.values, values):
                raise self._broken(row, "the stream's last forecast is not that of its last update")

    def check_forks(self) -> None:
        """A what-if moves nothing but its fork."""
        stream, row = self._warm(), self.rows[self.middle]
        before = stream.snapshot()
        fork = stream.fork()
        self._taken(fork, self._wild(row), "a what-if row")
        if stream.snapshot() != before:
            raise self._broken(row, "an update of a fork changes the stream")
        twin = stream.fork()
        self._taken(stream, self._wild(row), "a what-if row")
        if twin.snapshot() != before:
            raise self._broken(row, "an update of the stream changes its fork")

    def check_snapshots(self) -> None:
        """A restored session goes on bit for bit."""
        stream = self._warm()
        data = stream.snapshot()
        restored = self.model.restore(data, self.engine)
        if restored.snapshot() != data:
            raise self._broken(self.rows[self.middle], "a restored snapshot is not the snapshot")
        for row in self.rows[self.middle :]:
            got, want = (self._taken(each, row, "a row of the series").values for each in (restored, stream))
            if not np.array_equal(got, want):
                apart = float(np.abs(got - want).max())
                raise self._broken(row, f"a restored stream differs from the one that went on by {apart:.3g}")
        if restored.snapshot() != stream.snapshot():
            raise self._broken(self.rows[-1], "a restored stream ends in another state")

    def check_refusals(self) -> None:
        """Rows that do not fit raise StreamError and leave the stream as it was."""
        stream, schema = self._warm(), self.model.codec.schema
        good, before = self.rows[self.middle], stream.snapshot()
        bad = {
            "with an unknown column": good | {f"{schema.target[0]}?": 1.0},
            "with an infinite value": good | {schema.target[-1]: float("inf")},
            "with text for a number": good | {schema.target[0]: "high"},
            "without a time": {name: value for name, value in good.items() if name != schema.time},
            "from the past": good | {schema.time: self.rows[self.middle - 1][schema.time]},
        }
        for what, row in bad.items():
            try:
                stream.update(row)
            except StreamError:
                pass
            else:
                raise self._broken(good, f"a row {what} is taken")
            if stream.snapshot() != before:
                raise self._broken(good, f"a row {what} is refused but changes the stream")

    def _whole(self) -> NDArray[np.float64]:
        """The forecasts at every grid time, in one pass, in units: [T, D, H, 1 + Q]."""
        codec = self.model.codec
        now, future = (torch.from_numpy(part).unsqueeze(0) for part in codec.encode(self.series))
        positions = torch.arange(len(self.series))
        made, _ = forecasts_at(self.model.forecaster, now, future, positions)
        return codec.decode(made[0].numpy(), 1)

    def _warm(self) -> Stream:
        """A stream that has seen the first half."""
        stream = self.model.stream(self.series.id, self.engine)
        for row in self.rows[: self.middle]:
            self._taken(stream, row, "a row of the series")
        return stream

    def _wild(self, row: Row) -> Row:
        codec = self.model.codec
        levels = zip(codec.schema.target, codec.target_mean, codec.target_scale, strict=True)
        return row | {name: float(mean + _WILD * scale) for name, mean, scale in levels}

    def _taken(self, stream: Stream, row: Row, what: str) -> Any:
        try:
            return stream.update(row)
        except StreamError as error:
            raise self._broken(row, f"{what} is refused: {str(error).rstrip('.')}") from None

    def _broken(self, row: Row, text: str) -> LawError:
        time = row[self.model.codec.schema.time]
        return LawError(f"stream breaks the law: series '{self.series.id}' at {time}: {text}.")
