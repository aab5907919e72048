"""The model in other places: other processes, other tasks, other clocks, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from model_rows import QUICK, live_rows, numbers

import statewise as sw
from statewise.bundle import read_bundle
from statewise.models.forecast import ForecastModel
from statewise.tasks.forecast import Forecast
from statewise.testing import check_stream, check_task

Frames = Callable[..., pl.DataFrame]

CONTINUE = """
import json, sys
import statewise as sw
model = sw.load(sys.argv[1])
stream = model.restore(open(sys.argv[2], "rb").read(), sys.argv[3])
for line in sys.stdin:
    values = stream.update(json.loads(line)).values
print(values.tobytes().hex(), stream.snapshot().hex())
"""


def elsewhere(script: str, rows: list[dict[str, Any]], *arguments: str) -> str:
    """What another process prints that reads the rows as JSON lines."""
    lines = "\n".join(json.dumps(row | {"ds": row["ds"].isoformat()}) for row in rows)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        input=lines,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(sw.__file__).parent.parent), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_snapshot_goes_on_bit_for_bit_in_another_process(
    small_model: ForecastModel, make_frame: Frames, tmp_path: Path
) -> None:
    rows = [
        {name: None if value != value else value for name, value in row.items()}
        for row in live_rows(make_frame((60,)), "s0")
    ]
    stream = small_model.stream("s0", "torch")
    for row in rows[:30]:
        stream.update(row)
    small_model.save(tmp_path / "load.sw", onnx=False)
    (tmp_path / "state").write_bytes(stream.snapshot())
    for row in rows[30:]:
        values = stream.update(row).values
    got = elsewhere(CONTINUE, rows[30:], str(tmp_path / "load.sw"), str(tmp_path / "state"), "torch")
    assert got == f"{values.tobytes().hex()} {stream.snapshot().hex()}"


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "laplace", "difference": 24},
        {"target": ("load", "price"), "head": "normal", "difference": 0, "bins": 0, "calibration": 0.0},
        {"lookback": 12, "segment_length": 4, "static": ("size",)},
        {"quantiles": (0.25, 0.5), "lags": 3, "observed": "humidity"},
    ],
)
def test_other_tasks_stream_and_survive_their_bundle(
    settings: dict[str, Any], make_frame: Frames, tmp_path: Path
) -> None:
    task = Forecast(**({"horizon": 3, "target": "load", "frequency": "1h"} | settings))
    model = sw.fit(task, make_frame(), cell="gru", hidden_size=4, train=QUICK, progress=False)
    check_stream(model, make_frame(), rows=40, series=1)
    again = sw.load(model.save(tmp_path / "model.sw", onnx=False))
    assert again.predict(make_frame()).equals(model.predict(make_frame()))


def test_rows_of_a_place_keep_its_clock_through_a_change(make_frame: Frames) -> None:
    zoned = make_frame((100,), missing=0.05).with_columns(
        pl.col("ds").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    )
    task = Forecast(3, target="load", known="day", frequency="1h")
    model = sw.fit(task, zoned, hidden_size=4, train=QUICK, progress=False)
    made = model.predict(zoned)
    assert made.schema["ds"] == pl.Datetime("us", "Europe/Berlin")
    rolled = model.rolling(zoned, [np.datetime64("2024-03-31T01:00")])  # the clock skips 02:00 on the wall
    assert rolled.schema["cutoff"] == made.schema["ds"]
    assert rolled["cutoff"].dt.hour().to_list() == [3, 3, 3]
    assert rolled["ds"].dt.hour().to_list() == [4, 5, 6]
    check_stream(model, zoned)


def test_rows_on_the_wall_clock_alone_go_through_the_double_hour() -> None:
    instants = pl.datetime_range(datetime(2024, 10, 25), datetime(2024, 10, 30), "1h", eager=True)
    zoned = instants.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    wall = zoned.dt.replace_time_zone(None)
    frame = pl.DataFrame({"ds": wall, "y": np.random.default_rng(0).normal(size=len(wall))})
    task = Forecast(3, timezone="Europe/Berlin", frequency="1h")
    model = sw.fit(task, frame, hidden_size=4, train=QUICK, progress=False)
    check_stream(model, frame)
    check_task(task, frame)


def test_rows_too_few_for_a_calendar_still_have_a_forecast() -> None:
    frame = pl.DataFrame({"ds": [datetime(2024, 1, i) for i in range(1, 9)], "y": [1.0, 2, 4, 3, 5, 6, 5, 7]})
    model = sw.fit(Forecast(2), frame, hidden_size=4, train=QUICK, progress=False)
    assert model.codec.layout.now_size == 1
    assert np.isfinite(numbers(model.predict(frame))).all()
    check_stream(model, frame)


@pytest.fixture(scope="module")
def exported(small_model: ForecastModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return small_model.save(tmp_path_factory.mktemp("onnx") / "load.sw", onnx=True)


@pytest.mark.slow  # the export takes seconds
def test_the_graph_equals_torch_over_1000_steps(exported: Path, make_frame: Frames) -> None:
    model = sw.load(exported)
    torch_stream, onnx_stream = model.stream("s0", "torch"), model.stream("s0", "onnx")
    mean, scale = (part.reshape(-1, 1, 1) for part in (model.codec.target_mean, model.codec.target_scale))
    for row in live_rows(make_frame((1200,)), "s0"):
        one, other = torch_stream.update(row).values, onnx_stream.update(row).values
        np.testing.assert_allclose((one - mean) / scale, (other - mean) / scale, rtol=1e-5, atol=1e-5)
    check_stream(model, make_frame((60,)), engine="onnx")


WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
from statewise.bundle import read_bundle
from statewise.streaming.opening import onnx_engine, open_streams
bundle = read_bundle(sys.argv[1])
streams = open_streams(bundle, onnx_engine(bundle))
for line in sys.stdin:
    values = streams.update(json.loads(line)).values
print(values.tobytes().hex())
"""


@pytest.mark.slow  # needs the export
def test_a_bundle_streams_where_torch_cannot_be_imported(exported: Path, make_frame: Frames) -> None:
    assert read_bundle(exported).step_onnx is not None
    rows = [
        {name: None if value != value else value for name, value in row.items()}
        for row in live_rows(make_frame((60,)), "s0")
    ]
    stream = sw.load(exported).stream("s0", "onnx")
    for row in rows:
        values = stream.update(row).values
    assert elsewhere(WITHOUT_TORCH, rows, str(exported)) == values.tobytes().hex()
