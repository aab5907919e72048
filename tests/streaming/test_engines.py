"""The torch-free half: a bundle's graph streams where torch cannot be imported, with the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import statewise
from statewise.bundle import Bundle, TensorSpec, write_bundle
from statewise.core.errors import BundleError, ConfigError
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.opening import onnx_engine, open_streams, stream_config
from statewise.streaming.replay import record

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TARGETS, HORIZON, WIDTH = 2, 4, 4
QUANTILES = (0.1, 0.5, 0.9)


class Forecaster(Recurrence):
    """now [B, F], future [B, H, G] to [B, D, H, 1 + Q], with a GRU in between."""

    def __init__(self, now_size: int, future_size: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2 * now_size, 16)
        self.head = nn.Linear(16, TARGETS * HORIZON * WIDTH)
        self.known = nn.Linear(future_size, WIDTH)

    def initial_state(self, batch: int) -> State:
        return self.head.weight.new_zeros(batch, 16), torch.zeros(batch, dtype=torch.int64)

    def step(self, x: Any, state: State) -> tuple[Tensor, State]:
        now, future = x
        hidden, count = state
        missing = torch.isnan(now)
        seen = torch.where(missing, torch.zeros((), dtype=now.dtype), now)
        hidden = self.cell(torch.cat([seen, missing.to(now.dtype)], 1), hidden)
        known = self.known(torch.nan_to_num(future))[:, None]
        return self.head(hidden).view(-1, TARGETS, HORIZON, WIDTH) + known, (hidden, count + 1)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def network(codec: Any) -> Forecaster:
    torch.manual_seed(0)
    return Forecaster(codec.layout.now_size, codec.layout.future_size)


@pytest.fixture(scope="module")
def bundle(codec: Any, network: Forecaster, make_rows: Any) -> Bundle:
    inputs = (
        TensorSpec("now", (codec.layout.now_size,)),
        TensorSpec("future", (HORIZON, codec.layout.future_size)),
    )
    live = LiveStep(network, [spec.name for spec in inputs])
    plain = Bundle(
        kind="forecast",
        config={"warm_steps": 5},
        codec=codec.to_json(),
        quantiles=QUANTILES,
        weights={name: weight.detach().numpy() for name, weight in network.state_dict().items()},
        inputs=inputs,
        state=live.initial_arrays(),
        step_onnx=export_onnx(live, [torch.zeros(1, *spec.shape) for spec in inputs]),
    )
    engine = TorchEngine(network, plain.model_hash)
    samples = record(ForecastStream(codec, engine, config=StreamConfig(QUANTILES)), make_rows(20, seed=9))
    return replace(plain, samples=samples)


def test_streams_without_torch_give_the_same_answers(
    tmp_path: Path, codec: Any, network: Forecaster, bundle: Bundle, make_rows: Any
) -> None:
    write_bundle(tmp_path / "load.sw", bundle)
    rows = make_rows(40, seed=3)
    rows = rows[:20] + rows[23:]
    stream = ForecastStream(codec, TorchEngine(network, bundle.model_hash), "a", stream_config(bundle))
    for row in rows[:10]:
        stream.update(row)
    (tmp_path / "state").write_bytes(stream.snapshot())
    want = [stream.update(row).plain() for row in rows[10:]]
    plain = [{**row, "ds": row["ds"].isoformat()} for row in rows[10:]]
    (tmp_path / "rows.json").write_text(json.dumps(plain))
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import json\n"
        "from pathlib import Path\n"
        "from statewise.bundle import read_bundle\n"
        "from statewise.streaming.opening import onnx_engine, open_streams\n"
        "bundle = read_bundle('load.sw')\n"
        "streams = open_streams(bundle, onnx_engine(bundle))\n"
        "data = Path('state').read_bytes()\n"
        "stream = streams.start\n"
        "stream.restore(data)\n"
        "rows = json.loads(Path('rows.json').read_text())\n"
        "print(json.dumps([stream.update(row).plain() for row in rows]))\n"
        "assert not any(name.split('.')[0] in ('polars', 'narwhals', 'pandas') for name in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(statewise.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert len(got) == len(want) == 27
    for ours, theirs in zip(got, want, strict=True):
        assert ours.pop("forecast") != []
        theirs = {key: value for key, value in theirs.items() if key != "forecast"}
        assert ours == theirs
    for ours, theirs in zip(json.loads(done.stdout), want, strict=True):
        for mine, other in zip(ours["forecast"], theirs["forecast"], strict=True):
            assert mine["ds"] == other["ds"]
            assert mine["q0.9"] == pytest.approx(other["q0.9"], abs=1e-5 * 1000)


def test_a_live_year_stays_close_to_torch(
    codec: Any, network: Forecaster, bundle: Bundle, make_rows: Any
) -> None:
    ours = ForecastStream(codec, onnx_engine(bundle), "a", stream_config(bundle))
    theirs = ForecastStream(codec, TorchEngine(network, bundle.model_hash), "a", stream_config(bundle))
    scale, worst = codec.target_scale.reshape(-1, 1, 1), 0.0
    for row in make_rows(1000, seed=4):
        worst = max(worst, float((np.abs(ours.update(row).values - theirs.update(row).values) / scale).max()))
    assert worst < 1e-5


def test_samples_of_another_network_are_refused(network: Forecaster, bundle: Bundle) -> None:
    torch.manual_seed(5)
    other = Forecaster(bundle.inputs[0].shape[0], bundle.inputs[1].shape[1])
    with pytest.raises(BundleError, match=r"^samples: the answer to row 19 is off by "):
        open_streams(bundle, TorchEngine(other, bundle.model_hash))
    open_streams(bundle, TorchEngine(network, bundle.model_hash))


def test_stream_settings_come_from_the_bundle(bundle: Bundle) -> None:
    assert stream_config(bundle) == StreamConfig(quantiles=QUANTILES, warm_steps=5)
    assert open_streams(bundle, onnx_engine(bundle)).start.config == stream_config(bundle)


def test_no_graph_and_no_such_kind(bundle: Bundle) -> None:
    with pytest.raises(BundleError) as caught:
        onnx_engine(replace(bundle, step_onnx=None))
    assert str(caught.value) == (
        "bundle: holds no step.onnx: save the model with it, or run it with torch (--engine torch)."
    )
    with pytest.raises(ConfigError) as config_error:
        open_streams(replace(bundle, kind="forcast"), onnx_engine(bundle))
    assert str(config_error.value) == "kind: no such kind 'forcast'. Did you mean 'forecast'?"


def test_an_onnx_update_fits_the_time_budget(codec: Any, bundle: Bundle, make_rows: Any) -> None:
    import time

    stream = ForecastStream(codec, onnx_engine(bundle), "a", stream_config(bundle))
    rows, best = make_rows(600), 1.0
    for start in range(0, 600, 50):
        begin = time.perf_counter()
        for row in rows[start : start + 50]:
            stream.update(row)
        best = min(best, (time.perf_counter() - begin) / 50)
    assert best < 150e-6
    assert stream.time == np.datetime64(datetime(2024, 1, 1) + timedelta(hours=599))
