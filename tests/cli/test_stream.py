"""`statewise stream` and `statewise export` on a bundle whose network is one small graph."""

from __future__ import annotations

import argparse
import io
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from statewise.bundle import Bundle, TensorSpec, read_bundle, write_bundle
from statewise.cli import export, stream
from statewise.core.errors import BundleError, StreamError
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.recurrence import Recurrence
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema
from statewise.state import State
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.opening import onnx_engine, open_streams
from statewise.streaming.replay import record

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

START = datetime(2024, 1, 1)


class Memory(Recurrence):
    """The running mean of the target, for two steps and one quantile."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 4)

    def initial_state(self, batch: int) -> State:
        return self.head.weight.new_zeros(batch, 1)

    def step(self, x: Any, state: State) -> tuple[Tensor, State]:
        state = 0.9 * state + 0.1 * torch.nan_to_num(x[0][:, :1])
        return self.head(state).view(-1, 1, 2, 2), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        raise NotImplementedError


def row(hour: int, series_id: str = "a", **values: Any) -> dict[str, Any]:
    return {
        "unique_id": series_id,
        "ds": (START + timedelta(hours=hour)).isoformat(),
        "y": float(hour % 24),
        **values,
    }


@pytest.fixture(scope="module")
def network() -> Memory:
    torch.manual_seed(0)
    return Memory()


@pytest.fixture(scope="module")
def graph_bundle(network: Memory) -> Bundle:
    frame = pl.DataFrame([row(hour) for hour in range(100)]).with_columns(pl.col("ds").str.to_datetime())
    codec = ForecastCodec.fit(panel(frame, ForecastSchema()), 2)
    inputs = (
        TensorSpec("now", (codec.layout.now_size,)),
        TensorSpec("future", (2, codec.layout.future_size)),
    )
    live = LiveStep(network, ("now", "future"))
    values: dict[str, Any] = {
        "kind": "forecast",
        "config": {},
        "codec": codec.to_json(),
        "quantiles": (0.5,),
        "weights": {name: weight.detach().numpy() for name, weight in network.state_dict().items()},
        "inputs": inputs,
        "state": live.initial_arrays(),
    }
    engine = TorchEngine(network, Bundle(**values).model_hash)
    samples = record(
        ForecastStream(codec, engine, config=StreamConfig((0.5,))), [row(hour) for hour in range(5)]
    )
    graph = export_onnx(live, [torch.zeros(1, *spec.shape) for spec in inputs])
    return Bundle(**values, samples=samples, step_onnx=graph)


@pytest.fixture
def path(tmp_path: Path, graph_bundle: Bundle) -> Path:
    write_bundle(tmp_path / "load.sw", graph_bundle)
    return tmp_path / "load.sw"


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `statewise stream` on input lines; its output lines, parsed."""

    def run(*words: str, lines: list[Any]) -> list[dict[str, Any]]:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert call("stream", *words) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for verb in (stream, export):
        verb.add_parser(subparsers)
    args = parser.parse_args(words)
    return int(args.run(args))


def test_one_forecast_per_row(say: Any, path: Path) -> None:
    lines = say(str(path), lines=[row(0), row(0, "b"), "", row(1), row(4)])
    assert [(line["unique_id"], line["ds"][11:13], line["steps"], line["missing"]) for line in lines] == [
        ("a", "00", 1, 0),
        ("b", "00", 1, 0),
        ("a", "01", 2, 0),
        ("a", "04", 5, 2),
    ]
    assert [step["ds"] for step in lines[3]["forecast"]] == ["2024-01-01T05:00:00", "2024-01-01T06:00:00"]
    assert set(lines[0]["forecast"][0]) == {"ds", "mean", "q0.5"}


def test_errors_are_lines_and_the_stream_goes_on(say: Any, path: Path) -> None:
    bad = ["{oops", "[1]", row(0, y="many"), {"ds": "2024-01-01T01:00:00", "Y": 1}, row(0), row(0), row(1)]
    lines = say(str(path), lines=bad)
    errors = [(line["row"], line["error"].split(":")[0]) for line in lines if "error" in line]
    assert errors == [(1, "row"), (2, "row"), (3, "y"), (4, "row"), (6, "ds")]
    assert lines[1]["error"] == 'row: want a JSON object such as {"ds": "2024-05-01T13:00:00", "y": 31.2}.'
    assert lines[6]["steps"] == 2


def test_a_missing_value_is_null(say: Any, path: Path) -> None:
    null, absent = say(str(path), lines=[row(0, y=None), {"unique_id": "b", "ds": "2024-01-01T00:00:00"}])
    assert null["forecast"] == absent["forecast"]


def test_the_state_file_goes_on_where_it_stopped(say: Any, path: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    rows = [row(hour, series) for hour in range(10) for series in ("a", "b")]
    want = say(str(path), lines=rows)
    first = say(str(path), "--state", str(state), lines=rows[:7])
    second = say(str(path), "--state", str(state), lines=rows[7:])
    assert first + second == want
    assert not list(tmp_path.glob(".*part"))


def test_a_state_file_of_another_model_is_refused_and_kept(
    say: Any, path: Path, tmp_path: Path, graph_bundle: Bundle
) -> None:
    state = tmp_path / "state"
    say(str(path), "--state", str(state), lines=[row(0)])
    before = state.read_bytes()
    other = {name: getattr(graph_bundle, name) for name in Bundle.__dataclass_fields__} | {
        "config": {"seed": 2}
    }
    write_bundle(path, Bundle(**other))
    with pytest.raises(StreamError, match=r"^snapshot: of model "):
        call("stream", str(path), "--state", str(state))
    assert state.read_bytes() == before


def test_an_interrupt_saves_the_state(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Any:
        yield json.dumps(row(0))
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", lines())
    assert call("stream", str(path), "--state", str(tmp_path / "state")) == 130
    assert (tmp_path / "state").exists()


def test_bundle_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.sw: no such file\.$"):
        call("stream", str(tmp_path / "none.sw"))


def test_engines_agree(say: Any, path: Path, network: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModuleType("statewise.models.loading")
    monkeypatch.setattr(model, "live_recurrence", lambda bundle: network, raising=False)
    monkeypatch.setitem(sys.modules, "statewise.models.loading", model)
    rows = [row(hour) for hour in range(20)]
    onnx, torch_ = (say(str(path), "--engine", name, lines=rows) for name in ("onnx", "torch"))
    for ours, theirs in zip(onnx, torch_, strict=True):
        for mine, other in zip(ours["forecast"], theirs["forecast"], strict=True):
            assert mine["mean"] == pytest.approx(other["mean"], rel=1e-5)


def test_the_torch_engine_without_torch_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError("no torch here", name="torch")

    model = ModuleType("statewise.models.loading")
    model.__getattr__ = missing  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "statewise.models.loading", model)
    with pytest.raises(BundleError) as caught:
        stream.choose_engine(read_bundle(path), "torch")
    assert str(caught.value).startswith("stream: the torch engine needs torch, which is not installed here")


def test_export_writes_the_bundles_graph(
    path: Path, tmp_path: Path, graph_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "step.onnx"
    assert call("export", str(path), "--onnx", str(target)) == 0
    assert target.read_bytes() == graph_bundle.step_onnx
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{target}: {len(target.read_bytes())} bytes, model {graph_bundle.model_hash}"
    assert out[1:] == [
        f"  in   now [batch, {graph_bundle.inputs[0].shape[0]}] float32",
        f"  in   future [batch, 2, {graph_bundle.inputs[1].shape[1]}] float32",
        "  state.state -> next.state [batch, 1] float32",
        "  out  output: mean, then the quantiles, on the last axis",
    ]


def test_export_makes_the_graph_where_the_bundle_has_none(
    path: Path, tmp_path: Path, graph_bundle: Bundle, network: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModuleType("statewise.models.loading")
    monkeypatch.setattr(model, "live_recurrence", lambda bundle: network, raising=False)
    monkeypatch.setitem(sys.modules, "statewise.models.loading", model)
    values = {name: getattr(graph_bundle, name) for name in Bundle.__dataclass_fields__} | {"step_onnx": None}
    write_bundle(path, Bundle(**values))
    assert call("export", str(path), "--onnx", str(tmp_path / "step.onnx")) == 0
    assert (tmp_path / "step.onnx").read_bytes() == graph_bundle.step_onnx


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just(1e300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["y", "ds", "future"]), inner)
    ),
    max_leaves=5,
)
ROWS = st.dictionaries(st.sampled_from(["y", "ds", "future", "unique_id", "x"]), VALUES)
TIMES = st.sampled_from(["2024-01-05T00:00:00", "2024-01-05T01:00:00", "9999-12-31T23:00:00", "0001-01-01"])


@given(st.lists(st.builds(lambda row, time: {**row, "ds": time}, ROWS, TIMES) | ROWS | VALUES, max_size=4))
@settings(max_examples=150)
def test_no_line_ends_the_stream(graph_bundle: Bundle, lines: list[Any]) -> None:
    streams = open_streams(graph_bundle, onnx_engine(graph_bundle))
    out = io.StringIO()
    texts = [json.dumps(line) for line in lines]
    stream.answer(texts, out, streams)
    assert len(out.getvalue().splitlines()) == len(texts)
