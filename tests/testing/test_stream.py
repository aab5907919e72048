"""`check_stream`: it passes for a real model, and names what breaks in sessions that do not keep the law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import DataError, LawError, StreamError
from statewise.models.forecast import ForecastModel
from statewise.streaming.forecast import ForecastStream
from statewise.testing import check_stream

Frames = Callable[..., pl.DataFrame]


def test_a_model_keeps_the_law(small_model: ForecastModel, make_frame: Frames) -> None:
    check_stream(small_model, make_frame(), rows=60)
    check_stream(small_model, make_frame((40, 3), seed=5, missing=0.5), rows=30)
    check_stream(small_model, make_frame((2, 1), missing=0.0))


def test_rows_that_do_not_fit_are_a_data_error(small_model: ForecastModel, make_frame: Frames) -> None:
    with pytest.raises(DataError, match="humidity"):
        check_stream(small_model, make_frame().drop("humidity"))


class Wrapped:
    """An engine that passes everything on; planted bugs change one thing."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.model_hash = engine.model_hash

    def initial(self) -> Any:
        return self.engine.initial()

    def step(self, inputs: Any, state: Any) -> Any:
        return self.engine.step(inputs, state)

    def dump(self, state: Any) -> dict[str, np.ndarray]:
        return self.engine.dump(state)

    def load(self, leaves: Mapping[str, np.ndarray]) -> Any:
        return self.engine.load(leaves)


class Late(Wrapped):
    """Planted: the answer is that of the state before."""

    def step(self, inputs: Any, state: Any) -> Any:
        blank = (np.full_like(inputs[0], np.nan), inputs[1])
        return self.engine.step(blank, state)[0], self.engine.step(inputs, state)[1]


class BlindToGaps(Wrapped):
    """Planted: a row of missing values is no step."""

    def step(self, inputs: Any, state: Any) -> Any:
        output, after = self.engine.step(inputs, state)
        return output, state if np.isnan(inputs[0][0, :3]).all() else after


class InPlace(Wrapped):
    """Planted: the state is one buffer that every step writes to, so forks share it."""

    def initial(self) -> Any:
        return self.engine.dump(self.engine.initial())

    def step(self, inputs: Any, state: Any) -> Any:
        output, after = self.engine.step(inputs, self.engine.load(state))
        for name, leaf in self.engine.dump(after).items():
            state[name][...] = leaf
        return output, state

    def dump(self, state: Any) -> dict[str, np.ndarray]:
        return {name: leaf.copy() for name, leaf in state.items()}

    def load(self, leaves: Mapping[str, np.ndarray]) -> Any:
        return self.dump(leaves)


class ForgetfulSnapshot(Wrapped):
    """Planted: a snapshot holds everything but the calibration's pending forecasts."""

    def load(self, leaves: Mapping[str, np.ndarray]) -> Any:
        return self.engine.load(
            {name: 0 * leaf if name.endswith("pending") else leaf for name, leaf in leaves.items()}
        )


class CoarseSnapshot(Wrapped):
    """Planted: a snapshot rounds, and rounds again."""

    def load(self, leaves: Mapping[str, np.ndarray]) -> Any:
        return self.engine.load(
            {name: leaf.astype(np.float16).astype(leaf.dtype) for name, leaf in leaves.items()}
        )

    def dump(self, state: Any) -> dict[str, np.ndarray]:
        leaves = self.engine.dump(state)
        return {name: leaf.astype(np.float16).astype(leaf.dtype) for name, leaf in leaves.items()}


class SharedFork(ForecastStream):
    """Planted: a fork is the stream itself."""

    def fork(self) -> ForecastStream:
        return self


class Impulsive(ForecastStream):
    """Planted: the state moves before the row is found wrong."""

    def update(self, row: Mapping[str, Any]) -> Any:
        try:
            return super().update(row)
        except StreamError:
            self._steps += 1
            raise


class Tolerant(ForecastStream):
    """Planted: an infinity is taken for missing."""

    def update(self, row: Mapping[str, Any]) -> Any:
        return super().update({name: None if value == float("inf") else value for name, value in row.items()})


class Absent(ForecastStream):
    """Planted: the last forecast is not kept."""

    @property
    def event(self) -> Any:
        return None


class Faulty(ForecastModel):
    """The model with another engine or stream."""

    def planted(self, kind: type) -> Faulty:
        object.__setattr__(self, "bug", kind)
        return self

    def engine(self, name: Any = "auto") -> Any:
        made = super().engine(name)
        return made if issubclass(self.bug, ForecastStream) else self.bug(made)

    def stream(self, series_id: str = "", engine: Any = "auto") -> ForecastStream:
        kind = self.bug if issubclass(self.bug, ForecastStream) else ForecastStream
        return kind(self.codec, self.engine(engine), series_id, self.stream_config)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            Late,
            r": update gives \S+ for step \d+ ahead, the whole pass \S+, \S+ of the target's scale apart\.$",
        ),
        (
            BlindToGaps,
            r": update gives \S+ for step \d+ ahead, the whole pass \S+, \S+ of the target's scale",
        ),
        (InPlace, r": an update of a fork changes the stream\.$"),
        (ForgetfulSnapshot, r": a restored snapshot is not the snapshot\.$"),
        (CoarseSnapshot, r": a restored stream differs from the one that went on by \S+\.$"),
        (SharedFork, r": an update of a fork changes the stream\.$"),
        (Impulsive, r": a row with an unknown column is refused but changes the stream\.$"),
        (Tolerant, r": a row with an infinite value is taken\.$"),
        (Absent, r": the stream's last event is not that of its last update\.$"),
    ],
)
def test_planted_bugs_are_caught(
    kind: type, text: str, small_model: ForecastModel, make_frame: Frames
) -> None:
    parts = {part.name: getattr(small_model, part.name) for part in fields(ForecastModel)}
    with pytest.raises(LawError, match=r"^stream breaks the law: series 's0' at 2024-\S+" + text):
        check_stream(Faulty(**parts).planted(kind), make_frame(), rows=40)


def test_a_codec_that_refuses_the_rows_it_was_made_from_is_caught(small_model: ForecastModel) -> None:
    ds = [datetime(2024, 5, 1) + timedelta(hours=i) for i in range(30)]
    frame = pl.DataFrame(
        {"unique_id": "a", "ds": ds, "load": 1.0, "price": 2.0, "humidity": 3.0, "day": "work", "size": 1.0}
    )

    class Grumpy(ForecastStream):
        def update(self, row: Mapping[str, Any]) -> Any:
            if row["ds"].endswith("T05:00:00"):
                raise StreamError("ds: no.")
            return super().update(row)

    parts = {part.name: getattr(small_model, part.name) for part in fields(ForecastModel)}
    with pytest.raises(LawError) as caught:
        check_stream(Faulty(**parts).planted(Grumpy), frame)
    assert str(caught.value) == (
        "stream breaks the law: series 'a' at 2024-05-01T05:00:00: a row of the series is refused: ds: no."
    )


def test_the_tolerance_is_in_scales_of_the_target(small_model: ForecastModel, make_frame: Frames) -> None:
    with pytest.raises(LawError, match="of the target's scale apart"):
        check_stream(replace(small_model), make_frame(), rows=40, tolerance=0.0)
