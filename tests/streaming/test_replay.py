"""Sample rows: the answers of the saver are replayed, and another answer is refused."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest

from statewise.core.errors import BundleError
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.replay import record, verify

CONFIG = StreamConfig(quantiles=(0.1, 0.5, 0.9))


@pytest.fixture
def fresh(codec: Any, engine: Any) -> Any:
    return lambda: ForecastStream(codec, engine, config=CONFIG)


def test_samples_are_json_and_replay(fresh: Any, make_rows: Any) -> None:
    samples = record(fresh(), make_rows(9))
    assert [sample["answer"] is None for sample in samples] == [True] * 7 + [False] * 2
    verify(fresh(), json.loads(json.dumps(samples, allow_nan=False)), tolerance=1e-12)


def test_values_of_every_kind_become_plain(fresh: Any) -> None:
    row = {"ds": np.datetime64("2024-01-01T00:00:00"), "y": np.float32(31), "z": float("nan")}
    second = {"ds": datetime(2024, 1, 1, 1), "y": 1, "future": {"holiday": np.array([1.0, 0.0])}}
    third = {"ds": date(2024, 1, 2), "y": np.int64(3)}
    samples = record(fresh(), [row, second, third])
    assert [sample["row"] for sample in samples] == [
        {"ds": "2024-01-01T00:00:00", "y": 31.0, "z": None},
        {"ds": "2024-01-01T01:00:00", "y": 1, "future": {"holiday": [1.0, 0.0]}},
        {"ds": "2024-01-02", "y": 3},
    ]
    verify(fresh(), json.loads(json.dumps(samples)), tolerance=1e-12)


def test_another_answer_is_refused(fresh: Any, make_rows: Any) -> None:
    samples = record(fresh(), make_rows(3))
    answer = np.array(samples[2]["answer"])
    answer[1, 0, 0] += 10.0  # z has a scale of 1000
    with pytest.raises(BundleError) as caught:
        verify(fresh(), [*samples[:2], {**samples[2], "answer": answer.tolist()}])
    assert str(caught.value).startswith("samples: the answer to row 3 is off by 0.0")
    assert "saved" in str(caught.value)
    verify(fresh(), [*samples[:2], {**samples[2], "answer": answer.tolist()}], tolerance=0.1)


def test_an_answer_of_another_shape_is_refused(fresh: Any, make_rows: Any) -> None:
    samples = record(fresh(), make_rows(1))
    with pytest.raises(BundleError) as caught:
        verify(fresh(), [{**samples[0], "answer": [[1.0]]}])
    assert str(caught.value) == "samples: row 1 has an answer of shape (1, 1), want (2, 4, 4)."
