"""Many series side by side: each is its own stream."""

from __future__ import annotations

from typing import Any

import pytest

from statewise.core.errors import StreamError
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.streams import Streams

CONFIG = StreamConfig(quantiles=(0.1, 0.5, 0.9))


@pytest.fixture
def streams(codec: Any, engine: Any) -> Streams:
    return Streams(ForecastStream(codec, engine, config=CONFIG))


def test_series_do_not_mix(codec: Any, engine: Any, streams: Streams, make_rows: Any) -> None:
    alone = {name: ForecastStream(codec, engine, name, CONFIG) for name in ("a", "b", "c")}
    rows = {name: make_rows(12, name, seed) for seed, name in enumerate(alone)}
    for step in range(12):
        for name, stream in alone.items():
            if name == "c" and step < 5:
                continue
            row = rows[name][step]
            assert streams.update(row).values.tobytes() == stream.update(row).values.tobytes()
    assert streams.ids == ("a", "b", "c")
    assert len(streams) == 3
    assert streams["c"].snapshot() == alone["c"].snapshot()


def test_a_bad_first_row_makes_no_stream(streams: Streams, make_rows: Any) -> None:
    with pytest.raises(StreamError):
        streams.update({**make_rows(1)[0], "y": "many"})
    assert streams.ids == ()


def test_ids_that_are_numbers_or_absent(streams: Streams, make_rows: Any) -> None:
    first, second = make_rows(2)
    assert streams.update({**first, "unique_id": 7}).series_id == "7"
    assert streams.update({**second, "unique_id": 7}).provenance.steps == 2
    del first["unique_id"]
    assert streams.update(first).plain()["unique_id"] == ""
    assert streams.update({**second, "unique_id": None}).provenance.steps == 2


def test_snapshot_goes_on_bit_for_bit(codec: Any, engine: Any, streams: Streams, make_rows: Any) -> None:
    for name in ("a", "b"):
        for row in make_rows(9, name, len(name)):
            streams.update(row)
    other = Streams(streams.start)
    other.restore(streams.snapshot())
    assert other.ids == ("a", "b")
    for name in ("b", "a"):
        row = make_rows(14, name, 3)[-1]
        assert other.update(row).values.tobytes() == streams.update(row).values.tobytes()
    assert other.snapshot() == streams.snapshot()


def test_one_stream_does_not_restore_from_many(
    codec: Any, engine: Any, streams: Streams, make_rows: Any
) -> None:
    for name in ("a", "b"):
        streams.update(make_rows(1, name)[0])
    with pytest.raises(StreamError) as caught:
        streams.start.fork().restore(streams.snapshot())
    assert str(caught.value) == "snapshot: holds 2 series, want one: restore it with Streams."


def test_no_such_series_and_forget(streams: Streams, make_rows: Any) -> None:
    streams.update(make_rows(1, "north")[0])
    with pytest.raises(StreamError) as caught:
        streams["nort"]
    assert str(caught.value) == "streams: no such series 'nort'. Did you mean 'north'?"
    streams.forget("north")
    assert streams.ids == ()
