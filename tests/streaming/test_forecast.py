"""One stream: equal to the replay of the whole series, unmoved by bad rows, resumed bit for bit."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import ConfigError, StreamError
from statewise.streaming.forecast import ForecastStream, StreamConfig

CONFIG = StreamConfig(quantiles=(0.1, 0.5, 0.9), warm_steps=3, max_gap=50)


@pytest.fixture
def stream(codec: Any, engine: Any) -> ForecastStream:
    return ForecastStream(codec, engine, "a", CONFIG)


@pytest.fixture
def rows(make_rows: Any) -> list[dict[str, Any]]:
    return list(make_rows(60, seed=5))


def replayed(codec: Any, engine: Any, rows: list[dict[str, Any]]) -> np.ndarray:
    """The last answer of the network over the whole gridded series."""
    arrays = codec.encode(codec.panel(pl.DataFrame(rows)).series[0])
    state = engine.initial()
    for t in range(len(arrays.now)):
        future = arrays.future[t + 1 : t + 1 + codec.horizon]
        output, state = engine.step((arrays.now[t : t + 1], future[None]), state)
    return np.asarray(codec.decode(output[0], 0))


def test_a_stream_equals_the_replay_of_the_whole_series(
    codec: Any, engine: Any, stream: ForecastStream, rows: Any
) -> None:
    for row in rows:
        forecast = stream.update(row)
    assert forecast.values.tobytes() == replayed(codec, engine, rows).tobytes()
    assert forecast is stream.forecast
    assert forecast.provenance == (60, 0, 0, True, "abc")


def test_gaps_equal_the_replay_of_the_gridded_series(
    codec: Any, engine: Any, stream: ForecastStream, rows: Any
) -> None:
    kept = rows[:10] + rows[11:30] + rows[47:]
    for row in kept:
        forecast = stream.update(row)
    assert forecast.values.tobytes() == replayed(codec, engine, kept).tobytes()
    assert forecast.provenance == (60, 18, 0, True, "abc")


def test_provenance_counts(stream: ForecastStream, rows: Any) -> None:
    assert stream.forecast is None
    assert stream.update(rows[0]).provenance == (1, 0, 0, False, "abc")
    assert stream.update(rows[5]).provenance == (6, 4, 4, True, "abc")
    assert stream.update(rows[6]).provenance == (7, 4, 0, True, "abc")


def test_rows_of_a_forecast(stream: ForecastStream, rows: Any) -> None:
    forecast = stream.update(rows[0])
    assert forecast.values.shape == (2, 4, 4)
    assert [row["ds"] for row in forecast.rows][:2] == ["2024-01-01T01:00:00", "2024-01-01T02:00:00"]
    assert forecast.rows[4]["target"] == "z"
    assert list(forecast.rows[0]) == ["ds", "target", "mean", "q0.1", "q0.5", "q0.9"]
    assert forecast.rows[5]["q0.9"] == forecast.values[1, 1, 3]
    plain = json.loads(json.dumps(forecast.plain(), allow_nan=False))
    assert plain["unique_id"] == "a"
    assert plain["ds"] == "2024-01-01T00:00:00"
    assert len(plain["forecast"]) == 8
    assert (plain["steps"], plain["gap"], plain["model"]) == (1, 0, "abc")
    assert repr(forecast).startswith("Forecast('a', made at 2024-01-01T00:00:00, first {'ds'")


def test_static_columns_stay_as_last_given(codec: Any, engine: Any, rows: Any) -> None:
    once, always = ForecastStream(codec, engine, "a", CONFIG), ForecastStream(codec, engine, "a", CONFIG)
    for place, row in enumerate(rows[:4] + rows[6:9]):
        want = always.update(row).values
        given = {key: value for key, value in row.items() if key != "area" or place == 0}
        got = once.update(given).values
        assert got.tobytes() == want.tobytes()


BAD = [
    ({"hour": 1}, "ds: the row has no time."),
    ({"ds": "2024-01-01T00:00:00", "y": 1.0}, "ds: got '2024-01-01T00:00:00', want a time after "),
    ({"ds": "2024-01-03T12:30:00", "y": 1.0}, "ds: got '2024-01-03T12:30:00', which is off the 1h grid"),
    ({"ds": "soon", "y": 1.0}, "ds: got 'soon', want a time"),
    ({"ds": "2024-01-03T12:00:00", "Y": 1.0}, "row: no such column 'Y'."),
    ({"ds": "2024-01-03T12:00:00", "y": "31"}, "y: got '31', want a number."),
    ({"ds": "2024-01-03T12:00:00", "y": float("inf")}, "y: got inf, want a finite number"),
    (
        {"ds": "2024-01-03T12:00:00", "y": 1.0, "unique_id": "b"},
        "unique_id: got 'b', this stream is of series 'a'.",
    ),
    (
        {"ds": "2024-01-06T00:00:00", "y": 1.0},
        "gap: 60 steps are missing since 2024-01-03T11:00:00, at most 50. Start anew",
    ),
]


@pytest.mark.parametrize(("row", "text"), BAD, ids=[text[:20] for _, text in BAD])
def test_a_bad_row_raises_and_changes_nothing(
    stream: ForecastStream, rows: Any, row: dict[str, Any], text: str
) -> None:
    for good in rows:
        stream.update(good)
    before, twin = stream.snapshot(), stream.fork()
    with pytest.raises(StreamError) as caught:
        stream.update(row)
    assert str(caught.value).startswith(text)
    assert stream.snapshot() == before
    following = {**rows[-1], "ds": rows[-1]["ds"] + timedelta(hours=1)}
    assert stream.update(following).values.tobytes() == twin.update(following).values.tobytes()


def test_a_forecast_that_is_not_finite_is_refused(engine: Any, stream: ForecastStream, rows: Any) -> None:
    stream.update(rows[0])
    before = stream.snapshot()
    engine.poisoned = True
    with pytest.raises(StreamError) as caught:
        stream.update(rows[1])
    assert str(caught.value) == (
        "forecast after 2024-01-01T01:00:00: got a value that is not finite; the stream is as before "
        "that row. Leave the row out, or start anew with reset()."
    )
    assert stream.snapshot() == before


def test_an_engine_that_fails_within_a_gap_changes_nothing(
    engine: Any, stream: ForecastStream, rows: Any
) -> None:
    stream.update(rows[0])
    before = stream.snapshot()
    good, calls = engine.step, iter(range(3))

    def failing(inputs: Any, state: Any) -> Any:
        if next(calls, None) is None:
            raise RuntimeError("no more")
        return good(inputs, state)

    engine.step = failing
    with pytest.raises(RuntimeError, match="no more"):
        stream.update(rows[9])
    assert stream.snapshot() == before


def test_forks_are_independent(stream: ForecastStream, rows: Any) -> None:
    for row in rows[:20]:
        stream.update(row)
    before = stream.snapshot()
    twin = stream.fork()
    assert twin.snapshot() == before
    hot = twin.update({**rows[20], "humidity": 5.0}).values
    assert stream.snapshot() == before
    assert not np.array_equal(stream.update(rows[20]).values, hot)
    assert twin.engine is stream.engine


def test_what_if_with_other_future_values(stream: ForecastStream, rows: Any) -> None:
    stream.update(rows[0])
    plain = stream.fork().update({**rows[1], "future": {"holiday": [0.0, 0.0, 0.0, 0.0]}}).values
    feast = stream.fork().update({**rows[1], "future": {"holiday": [0.0, 0.0, 1.0, 0.0]}}).values
    moved = np.abs(plain - feast).max(axis=(0, 2)) > 0
    assert moved.tolist() == [False, False, True, False]


def test_reset_starts_anew(codec: Any, engine: Any, stream: ForecastStream, rows: Any) -> None:
    fresh = ForecastStream(codec, engine, "a", CONFIG)
    for row in rows[:7]:
        stream.update(row)
    stream.reset()
    assert stream.snapshot() == fresh.snapshot()
    assert stream.time is None


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_restore_goes_on_bit_for_bit(
    codec: Any, engine: Any, stream: ForecastStream, rows: Any, cut: int
) -> None:
    for row in rows[:cut]:
        stream.update(row)
    other = ForecastStream(codec, engine, config=CONFIG)
    other.restore(stream.snapshot())
    if cut:
        assert other.forecast is not None
        assert stream.forecast is not None
        assert other.forecast.plain() == stream.forecast.plain()
    for row in rows[cut:40] + rows[44:]:
        want, got = stream.update(row), other.update(row)
        assert got.values.tobytes() == want.values.tobytes()
        assert got.provenance == want.provenance
    assert other.snapshot() == stream.snapshot()


def test_restore_refuses_another_model(codec: Any, engine: Any, stream: ForecastStream, rows: Any) -> None:
    stream.update(rows[0])
    data = stream.snapshot()
    engine.model_hash = "fff"
    with pytest.raises(StreamError) as caught:
        ForecastStream(codec, engine, config=CONFIG).restore(data)
    assert str(caught.value) == (
        "snapshot: of model abc, this is model fff. "
        "Restore it with the bundle that made it, or start a new session."
    )


def test_restore_refuses_leaves_of_another_shape(
    codec: Any, engine: Any, stream: ForecastStream, rows: Any
) -> None:
    stream.update(rows[0])
    data = stream.snapshot()
    engine.template["count"] = np.zeros((1, 2), np.int64)
    with pytest.raises(StreamError, match=r"^state: leaf 'count' is int64\[1\], want int64\[1, 2\]\.$"):
        ForecastStream(codec, engine, config=CONFIG).restore(data)


def test_a_negative_max_gap_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        StreamConfig(max_gap=-1)
    assert str(caught.value) == "max_gap: got -1, want 0 or more."


class Still:
    """An engine that costs nothing: what is left is the stream's own work."""

    model_hash = "still"
    output = np.zeros((1, 2, 4, 4), np.float32)

    def initial(self) -> None: ...
    def step(self, inputs: Any, state: None) -> Any:
        return self.output, None

    def dump(self, state: None) -> dict[str, np.ndarray]:
        return {}

    def load(self, leaves: Any) -> None: ...


def test_the_streams_own_work_is_small_and_flat(codec: Any, make_rows: Any) -> None:
    rows = make_rows(3000)
    stream = ForecastStream(codec, Still(), "a", CONFIG)
    stream.update(rows[0])
    whole, encoding = [], []
    for start in range(
        1, 2901, 100
    ):  # best of many short runs: other work on the machine adds, never takes away
        part = rows[start : start + 100]
        twin, before = stream.fork(), stream.time
        begin = time.perf_counter()
        for row in part:
            stream.update(row)
        middle = time.perf_counter()
        for row in part:
            codec.encode_row(row, before, None)
        end = time.perf_counter()
        whole.append((middle - begin) / len(part))
        encoding.append((end - middle) / len(part))
        assert twin.time == before
    assert min(whole) - min(encoding) < 15e-6
    assert min(whole[-10:]) < 2 * min(whole[:10])


def test_memory_stays_flat(codec: Any, make_rows: Any) -> None:
    rows = make_rows(1500)
    stream = ForecastStream(codec, Still(), "a", CONFIG)
    for row in rows[:500]:
        stream.update(row)
    tracemalloc.start()
    for row in rows[500:]:
        stream.update(row)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 300_000  # a few calendar blocks, not a thousand rows
