"""`sw.fit(members=n)`: the average of separately seeded runs, as one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.models.forecast import ForecastModel
from statewise.tasks.forecast import Forecast
from statewise.testing import check_stream
from statewise.training.config import TrainConfig

Frames = Callable[..., pl.DataFrame]
QUICK = TrainConfig(steps=4, batch_size=2, validate_every=2, seed=3, threads=1)
SETTINGS: dict[str, Any] = {"hidden_size": 4, "progress": False}
VALUES = ["mean", *(f"q0.{i}" for i in range(1, 10))]


def numbers(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(VALUES).to_numpy()


@pytest.fixture(scope="module")
def task(small_task: Forecast) -> Forecast:
    return replace(small_task, calibration=0.0)  # intervals follow the average's own misses: not an average


@pytest.fixture(scope="module")
def pair(task: Forecast, make_frame: Frames) -> ForecastModel:
    return sw.fit(task, make_frame(), members=2, train=QUICK, **SETTINGS)


def test_two_members_are_the_average_of_two_runs(
    pair: ForecastModel, task: Forecast, make_frame: Frames
) -> None:
    frame = make_frame()
    runs = [sw.fit(task, frame, train=replace(QUICK, seed=seed), **SETTINGS) for seed in (3, 1003)]
    one, other = (numbers(run.predict(frame)) for run in runs)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(numbers(pair.predict(frame)), (one + other) / 2, rtol=1e-5, atol=1e-5)
    assert pair.members == 2
    assert len(pair.forecaster.networks) == 2


def test_the_model_of_two_streams_and_survives_its_bundle(
    pair: ForecastModel, make_frame: Frames, tmp_path: Path
) -> None:
    frame = make_frame()
    check_stream(pair, frame, rows=40, series=1)
    again = sw.load(pair.save(tmp_path / "pair.sw", onnx=False))
    assert again.members == 2
    assert again.bundle.model_hash == pair.bundle.model_hash
    assert again.predict(frame).equals(pair.predict(frame))
    rows = frame.filter(pl.col("unique_id") == "s1").to_dicts()
    here, there = pair.stream(engine="torch"), again.stream(engine="torch")
    for row in rows[:20]:
        np.testing.assert_array_equal(here.update(row).values, there.update(row).values)
    restored = again.restore(here.snapshot(), "torch")
    np.testing.assert_array_equal(here.update(rows[20]).values, restored.update(rows[20]).values)


def test_each_member_has_its_checkpoint(
    pair: ForecastModel, task: Forecast, make_frame: Frames, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    for _ in range(2):  # the second time both runs are found finished
        model = sw.fit(task, make_frame(), members=2, train=QUICK, checkpoint=path, **SETTINGS)
        assert model.predict(make_frame()).equals(pair.predict(make_frame()))
    assert {file.name for file in tmp_path.iterdir()} == {"run", "run.1"}


def test_no_member_is_no_model(task: Forecast, make_frame: Frames) -> None:
    with pytest.raises(ConfigError) as caught:
        sw.fit(task, make_frame(), members=0, **SETTINGS)
    assert str(caught.value) == "members: got 0, want 1 or more."


def test_equal_runs_hash_alike_however_long_they_took(
    pair: ForecastModel, task: Forecast, make_frame: Frames
) -> None:
    again = sw.fit(task, make_frame(), members=2, train=QUICK, **SETTINGS)
    assert again.training["elapsed"] != pair.training["elapsed"]
    assert again.bundle.model_hash == pair.bundle.model_hash
