"""The law for live sessions of a model: updates, forks, snapshots and rows that must not be taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from statewise.core.errors import LawError, StreamError
from statewise.models.model import EngineName, Model
from statewise.streaming.event import Event
from statewise.streaming.stream import Stream
from statewise.testing.live_case import LiveCase, live_cases


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

    For the first `rows` rows of up to `series` series (or items of as many sequences): every update gives the
    answer of the whole pass, a forecaster's missing times between rows included, within `tolerance` (of the
    target's scale, for forecasts); an update of a fork leaves the stream as it was, and the other way round;
    a restored snapshot goes on bit for bit; what does not fit or does not follow is refused and changes
    nothing. Raises ConfigError for a model that cannot stream.
    """
    for case in live_cases(model, data, series, rows):
        session = _Session(model, case, engine)
        session.check_updates(tolerance)
        if len(case.rows) > 1:
            session.check_forks()
            session.check_snapshots()
            session.check_refusals()


class _Session:
    """One case, and streams of it."""

    def __init__(self, model: Model, case: LiveCase, engine: EngineName) -> None:
        self.model, self.case, self.engine = model, case, engine
        self.middle = len(case.rows) // 2

    def check_updates(self, tolerance: float) -> None:
        """Law item 2: steps equal the whole."""
        stream, answers = self.model.stream(self.case.name, engine=self.engine), []
        for row in range(len(self.case.rows)):
            answers.append(self._updated(stream, row).values)
            if stream.event is None or not np.array_equal(stream.event.values, answers[-1]):
                raise self._broken(row, "the stream's last event is not that of its last update")
        for row, (values, want) in enumerate(zip(answers, self.case.whole(), strict=True)):
            if values.shape != want.shape:
                raise self._broken(row, f"update gives {values.shape}, the whole pass {want.shape}")
            with np.errstate(invalid="ignore"):  # minus infinity on both sides
                gap = np.where(values == want, 0.0, np.abs(values - want) / stream.scale)
            if not gap.max() <= tolerance:
                at = np.unravel_index(int(np.nan_to_num(gap, nan=np.inf).argmax()), gap.shape)
                number = self.case.number(tuple(map(int, at)))
                raise self._broken(
                    row,
                    f"update gives {values[at]:.6g} {number}, the whole pass {want[at]:.6g}, "
                    f"{gap[at]:.2g}{stream.unit} apart",
                )

    def check_forks(self) -> None:
        """A what-if moves nothing but its fork."""
        stream, wild = self._warm(), self.case.wild(self.middle)
        before = stream.snapshot()
        fork = stream.fork()
        self._taken(fork, wild, self.middle, "a what-if row")
        if stream.snapshot() != before:
            raise self._broken(self.middle, "an update of a fork changes the stream")
        twin = stream.fork()
        self._taken(stream, wild, self.middle, "a what-if row")
        if twin.snapshot() != before:
            raise self._broken(self.middle, "an update of the stream changes its fork")

    def check_snapshots(self) -> None:
        """A restored session goes on bit for bit."""
        stream = self._warm()
        data = stream.snapshot()
        restored = self.model.restore(data, self.engine)
        if restored.snapshot() != data:
            raise self._broken(self.middle, "a restored snapshot is not the snapshot")
        last = len(self.case.rows) - 1
        for row in range(self.middle, last + 1):
            got, want = (self._updated(each, row).values for each in (restored, stream))
            if not np.array_equal(got, want):
                apart = float(np.abs(got - want).max())
                raise self._broken(row, f"a restored stream differs from the one that went on by {apart:.3g}")
        if restored.snapshot() != stream.snapshot():
            raise self._broken(last, "a restored stream ends in another state")

    def check_refusals(self) -> None:
        """Rows that do not fit raise StreamError and leave the stream as it was."""
        stream = self._warm()
        before = stream.snapshot()
        for what, row in self.case.bad(self.middle).items():
            try:
                stream.update(row)
            except StreamError:
                pass
            else:
                raise self._broken(self.middle, f"{what} is taken")
            if stream.snapshot() != before:
                raise self._broken(self.middle, f"{what} is refused but changes the stream")

    def _warm(self) -> Stream[Any]:
        """A stream that has seen the first half."""
        stream = self.model.stream(self.case.name, engine=self.engine)
        for row in range(self.middle):
            self._updated(stream, row)
        return stream

    def _updated(self, stream: Stream[Any], row: int) -> Event:
        return self._taken(stream, self.case.rows[row], row, "a row of the series")

    def _taken(self, stream: Stream[Any], given: Any, row: int, what: str) -> Event:
        try:
            event: Event = stream.update(given)
        except StreamError as error:
            raise self._broken(row, f"{what} is refused: {str(error).rstrip('.')}") from None
        return event

    def _broken(self, row: int, text: str) -> LawError:
        return LawError(f"stream breaks the law: {self.case.at(row)}: {text}.")
