"""A fitted forecaster: what it was made with, its codec and its weights, and what a user does with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from statewise.bundle import Bundle, TensorSpec, read_bundle, write_bundle
from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import BundleError, ConfigError, DataError, lookup
from statewise.core.native import extension
from statewise.explain.attribution import Question, explain
from statewise.explain.explanation import Explanation
from statewise.explain.probe import Probe
from statewise.explain.probing import ProbeQuestion, probe
from statewise.nn.backbone import BackboneConfig
from statewise.nn.calibration import Calibrator
from statewise.nn.ensemble import Ensemble
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.nn.native_step import step_program, verified
from statewise.recurrence import Recurrence
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import Series
from statewise.rows.zones import is_fixed
from statewise.streaming.engines import Engine
from statewise.streaming.native_engine import NativeEngine
from statewise.streaming.opening import onnx_engine, open_streams, stream_config
from statewise.streaming.replay import record
from statewise.streaming.session import Stream, StreamConfig
from statewise.streaming.streams import Streams
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_network import Memory
from statewise.tasks.forecaster import Forecaster, forecasts_at

EngineName = Literal["auto", "native", "onnx", "torch"]
_INPUTS = ("now", "future")


@dataclass(frozen=True, eq=False)
class Model:
    """A trained forecaster; shared and immutable. Make one with `sw.fit` or `sw.load`."""

    task: Forecast
    backbone: BackboneConfig
    memory: Memory
    codec: ForecastCodec
    forecaster: Forecaster
    training: Mapping[str, Any] = field(default_factory=dict)  # effective settings and outcome of training
    samples: tuple[Mapping[str, Any], ...] = ()
    step_onnx: bytes | None = field(default=None, repr=False)
    members: int = 1  # networks whose forecasts are averaged

    @property
    def trained_until(self) -> str | None:
        """Time of the newest training row; None where the training record does not say."""
        return self.training.get("until")

    def predict(self, data: Any, future: Any = None, level: Sequence[int] = ()) -> Any:
        """The next `horizon` values of every series: unique_id, ds, [target], mean, q0.1 … q0.9.

        `data` is the history, as a frame or a path; `future` holds the known columns of the times ahead.
        `level=[80]` adds the central intervals mean-lo-80 and mean-hi-80. The frame is of the library of
        `data`. Raises DataError for rows that do not fit.
        """
        panel = self.codec.panel(data, future)
        made = [self._forecasts(series, [len(series) - 1])[0] for series in panel.series]
        cutoffs = np.array([series.time[-1] for series in panel.series])
        ids = [series.id for series in panel.series]
        frame = self.codec.forecast_frame(ids, cutoffs, np.stack(made), self.task.levels, data)
        return _with_levels(frame, level, self.task.levels)

    def rolling(self, data: Any, cutoffs: Sequence[np.datetime64]) -> Any:
        """Forecasts from every cutoff in one pass over the data: the frame of `predict`, and `cutoff`.

        `cutoffs` are grid times. A forecast reads no row after its cutoff but for known columns. A series
        answers from its first row to its last. Raises DataError when none answers.
        """
        import narwhals as nw

        panel = self.codec.panel(data)
        wanted = np.array(sorted(cutoffs), dtype="datetime64[s]")
        if (off := self.codec.frequency.off_grid(wanted)).any():
            name = self.codec.frequency.name
            raise DataError(f"cutoffs: {wanted[int(np.argmax(off))]} is off the {name} grid.")
        ids: list[str] = []
        times, blocks = [], []
        for series in panel.series:
            inside = wanted[(wanted >= series.time[0]) & (wanted <= series.time[-1])]
            if len(inside):
                blocks.append(self._forecasts(series, np.searchsorted(series.time, inside)))
                times.append(inside)
                ids += [series.id] * len(inside)
        if not ids:
            raise DataError("cutoffs: none lies within the rows of any series.")
        made = np.concatenate(times)
        native = self.codec.forecast_frame(ids, made, np.concatenate(blocks), self.task.levels, data)
        frame: nw.DataFrame[Any] = nw.from_native(native, eager_only=True)
        clock = self.codec.clock
        shown = clock.instants(made) if clock.aware else clock.wall(made)
        values = np.repeat(shown, len(frame) // len(made)).astype("datetime64[us]")
        column = nw.new_series("cutoff", values, backend=frame.implementation)
        if clock.aware and clock.timezone is not None:
            named = "UTC" if is_fixed(clock.timezone) else clock.timezone
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(named)
        return frame.with_columns(column).to_native()

    def stream(self, series_id: str = "", engine: EngineName = "auto") -> Stream:
        """A live session of one series: `update(row)` gives a forecast in constant time and memory."""
        return Stream(self.codec, self.engine(engine), series_id, self.stream_config)

    def streams(self, engine: EngineName = "auto") -> Streams:
        """Live sessions of many series, by id."""
        return Streams(self.codec, self.engine(engine), self.stream_config)

    def restore(self, snapshot: bytes, engine: EngineName = "auto") -> Stream:
        """The live session that `Stream.snapshot` wrote, to go on bit for bit."""
        return Stream.restore(self.codec, self.engine(engine), snapshot, self.stream_config)

    def engine(self, name: EngineName = "auto") -> Engine:
        """What computes a live step: compiled kernels ("native"), ONNX Runtime ("onnx") or "torch".

        "auto" takes the first of these that is at hand: the kernels where they are installed and hold all
        parts of the step, the graph where the bundle brought it along. A graph is exported when first asked
        for, which takes seconds. Raises ConfigError for "native" where it cannot be had.
        """
        lookup(dict.fromkeys(("auto", "native", "onnx", "torch")), name, "engine")
        if name == "native" or (name == "auto" and self._native):
            return NativeEngine(self._program, self.bundle.model_hash)
        if name == "onnx" or (name == "auto" and self.step_onnx is not None and find_spec("onnxruntime")):
            return onnx_engine(self._bundle_with_step)
        return TorchEngine(self.forecaster, self.bundle.model_hash)

    def explain(
        self,
        data: Any,
        future: Any = None,
        *,
        series_id: str | None = None,
        target: str | None = None,
        horizon: slice | None = None,
        at: Any = None,
        origins: int = 1,
        group: Mapping[str, Sequence[str]] | None = None,
        progress: bool = True,
    ) -> Explanation:
        """Exact Shapley shares of named parts of the past in the median forecast.

        The parts: bands of the targets' raw past ("last 48 hours", "the week before", "older memory", which
        is also what the state remembers of covariates from before the replayed weeks), the season (calendar
        and seasonal profile), each covariate. `group={"weather": ["temp", "wind"]}` merges covariates; by
        default more than 6 go by role. A hidden value is replaced by its training mean, a target's by the
        seasonal profile while the season takes part; a flag is off, a category none.
        `horizon` is a slice of the steps ahead, `at` the newest row read (default: the last), `origins`
        averages over that many origins a day apart. Series and target default to the first.
        Raises ConfigError, DataError.
        """
        panel = self.codec.panel(data, future)
        question = Question(series_id, target, horizon, at, origins, group, progress)
        lags = max(self.memory.lags, self.task.lookback or 0)
        return explain(self.codec, self.forecaster, self.task, lags, panel, question)

    def probe(
        self,
        data: Any,
        covariates: Sequence[str] | None = None,
        *,
        max_lag: int = 48,
        origins: int = 200,
        series_id: str | None = None,
        target: str | None = None,
        progress: bool = True,
    ) -> Probe:
        """Which covariate's reading at which lag moves which step of the forecast, how far and from where on.

        At `origins` rows drawn from the later three quarters of the data, every reading up to `max_lag` steps
        back is set to a usual low and a usual high value (10 % and 90 % quantile) and the rows after it are
        replayed. Series and target default to the first. Raises ConfigError, DataError.
        """
        question = ProbeQuestion(covariates, max_lag, origins, series_id, target, progress)
        return probe(self.codec, self.forecaster, self.task, self.codec.panel(data), question)

    def save(self, path: str | os.PathLike[str], onnx: bool | None = None) -> Path:
        """Write the bundle (json, safetensors, card, sample rows). `onnx`: with the live step as a graph,
        by default where the extra `onnx` is installed and the state has one size. Never pickle."""
        able = find_spec("onnxscript") is not None and not LiveStep(self.forecaster, _INPUTS).growing
        wanted = able if onnx is None else onnx
        bundle = self._bundle_with_step if wanted else replace(self.bundle, step_onnx=None)
        write_bundle(path, bundle)
        return Path(path)

    @cached_property
    def stream_config(self) -> StreamConfig:
        """Settings of live sessions."""
        return stream_config(self.bundle)

    @cached_property
    def bundle(self) -> Bundle:
        """The model as plain values and arrays."""
        live = LiveStep(self.forecaster, _INPUTS)
        weights = {name: tensor.numpy().copy() for name, tensor in self.forecaster.state_dict().items()}
        layout = self.codec.layout
        return Bundle(
            kind="forecast",
            config={
                "task": to_mapping(self.task),
                "backbone": to_mapping(self.backbone),
                "memory": to_mapping(self.memory),
                "members": self.members,
                "training": dict(self.training),
                "warm_steps": self.memory.lags,
            },
            codec=self.codec.to_json(),
            quantiles=self.task.levels,
            weights=weights,
            inputs=(
                TensorSpec("now", (layout.now_size,)),
                TensorSpec("future", (self.task.horizon, layout.future_size)),
            ),
            state=live.initial_arrays(),
            samples=self.samples,
            step_onnx=self.step_onnx,
        )

    @cached_property
    def _bundle_with_step(self) -> Bundle:
        if self.bundle.step_onnx is not None:
            return self.bundle
        live = LiveStep(self.forecaster, _INPUTS)
        examples = [torch.zeros((1, *spec.shape)) for spec in self.bundle.inputs]
        return replace(self.bundle, step_onnx=export_onnx(live, examples))

    @cached_property
    def _program(self) -> bytes:
        inputs = {spec.name: spec.shape for spec in self.bundle.inputs}
        return verified(step_program(self.forecaster, inputs), self.forecaster, inputs)

    @cached_property
    def _native(self) -> bool:
        """Whether the compiled kernels can take the live step."""
        try:
            return extension() is not None and bool(self._program)
        except ConfigError:
            return False

    def _forecasts(self, series: Series, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decoded forecasts [M, D, H, 1 + Q] made at `positions` of a series."""
        now, future = self.codec.encode(series)
        places = torch.as_tensor(np.asarray(positions))
        lines = torch.from_numpy(now).unsqueeze(0), torch.from_numpy(future).unsqueeze(0)
        made, _ = forecasts_at(self.forecaster, *lines, places)
        return self.codec.decode(made[0].numpy(), 1)


def load(path: str | os.PathLike[str]) -> Model:
    """The model saved at `path`; its sample rows are replayed first. Raises BundleError in one line."""
    bundle = read_bundle(path)
    model = _from_bundle(bundle)
    open_streams(bundle, TorchEngine(model.forecaster, bundle.model_hash))
    return model


def live_recurrence(bundle: Bundle) -> Forecaster:
    """The live recurrence stored in a bundle."""
    return _from_bundle(bundle).forecaster


def build(task: Forecast, codec: ForecastCodec, networks: Sequence[Recurrence]) -> Forecaster:
    """The forecaster of one network, or of the mean of several."""
    network = networks[0] if len(networks) == 1 else Ensemble(networks)
    calibrator = Calibrator(codec.layout.target, task.horizon, task.levels, task.calibration)
    return Forecaster(network, calibrator)


def with_samples(model: Model, rows: Sequence[Mapping[str, Any]]) -> Model:
    """The model with sample rows and its answers to them, to be replayed wherever it is loaded."""
    stream = model.stream(engine="torch")
    return replace(model, samples=record(stream, rows))


def _from_bundle(bundle: Bundle) -> Model:
    if bundle.kind != "forecast":
        raise BundleError(f"bundle: kind is '{bundle.kind}', this version loads 'forecast'.")
    try:
        task = from_mapping(Forecast, bundle.config["task"], "bundle: task")
        backbone = from_mapping(BackboneConfig, bundle.config["backbone"], "bundle: backbone")
        memory = from_mapping(Memory, bundle.config["memory"], "bundle: memory")
        members = int(bundle.config.get("members", 1))
    except (ConfigError, KeyError) as error:
        raise BundleError(f"bundle: config: {error}") from None
    codec = ForecastCodec.from_json(bundle.codec)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten: leave the caller's numbers
        forecaster = build(task, codec, [task.network(codec, memory, backbone) for _ in range(members)])
    weights = {name: torch.from_numpy(array.copy()) for name, array in bundle.weights.items()}
    try:
        forecaster.load_state_dict(weights)
    except RuntimeError as error:
        raise BundleError(
            f"bundle: weights do not fit the config: {str(error).splitlines()[-1].strip()}"
        ) from None
    return Model(
        task,
        backbone,
        memory,
        codec,
        forecaster.eval(),
        bundle.config.get("training", {}),
        bundle.samples,
        bundle.step_onnx,
        members,
    )


def _with_levels(frame: Any, level: Sequence[int], quantiles: tuple[float, ...]) -> Any:
    """The frame with the central intervals of `level` percent, taken from the quantiles."""
    import narwhals as nw

    columns = []
    for percent in level:
        low, high = round((1 - percent / 100) / 2, 6), round((1 + percent / 100) / 2, 6)
        for name, share in (("lo", low), ("hi", high)):
            if share not in quantiles:
                raise ConfigError(
                    f"level: {percent} needs the quantile {share:g}, the model has {quantiles}."
                )
            columns.append(nw.col(f"q{share:g}").alias(f"mean-{name}-{percent}"))
    return nw.from_native(frame).with_columns(*columns).to_native() if columns else frame
