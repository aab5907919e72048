"""A fitted forecaster: what it was made with, its codec and its weights, and what a user does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import nn

from statewise.bundle import Bundle, TensorSpec
from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError, DataError
from statewise.explain.attribution import Question, explain
from statewise.explain.explanation import Explanation
from statewise.explain.probe import Probe
from statewise.explain.probing import ProbeQuestion, probe
from statewise.models.model import EngineName, Model
from statewise.models.restoring import restored
from statewise.nn.backbone import BackboneConfig
from statewise.nn.calibration import Calibrator
from statewise.nn.ensemble import Ensemble
from statewise.recurrence import Recurrence
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import Series
from statewise.rows.zones import is_fixed
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.opening import stream_config
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_network import Memory
from statewise.tasks.forecaster import Forecaster, forecasts_at


@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastModel(Model):
    """A trained forecaster."""

    kind: ClassVar[str] = Forecast.kind

    task: Forecast
    codec: ForecastCodec
    memory: Memory

    @property
    def forecaster(self) -> Forecaster:
        """The network, calibration included."""
        return cast(Forecaster, self.network)

    @property
    def parts(self) -> list[nn.Module]:
        """What was trained, one by one: the network, or the members."""
        return list(self.forecaster.networks)

    @property
    def live(self) -> Forecaster:
        """The forecaster: a recurrence."""
        return self.forecaster

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What is known now [F], and of the steps ahead [H, G]."""
        layout = self.codec.layout
        return (
            TensorSpec("now", (layout.now_size,)),
            TensorSpec("future", (self.task.horizon, layout.future_size)),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """With what the forecaster remembers, and the steps after which its forecasts count."""
        return {**super().settings, "memory": to_mapping(self.memory), "warm_steps": self.memory.lags}

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The task's levels."""
        return self.task.levels

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

    def stream(self, series_id: str = "", engine: EngineName = "auto") -> ForecastStream:
        """A live session of one series: `update(row)` gives a forecast in constant time and memory."""
        return ForecastStream(self.codec, self.engine(engine), series_id, self.stream_config)

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

    @cached_property
    def stream_config(self) -> StreamConfig:
        """Settings of live sessions."""
        return stream_config(self.bundle)

    def _forecasts(self, series: Series, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decoded forecasts [M, D, H, 1 + Q] made at `positions` of a series."""
        now, future = self.codec.encode(series)
        places = torch.as_tensor(np.asarray(positions))
        lines = torch.from_numpy(now).unsqueeze(0), torch.from_numpy(future).unsqueeze(0)
        made, _ = forecasts_at(self.forecaster, *lines, places)
        return self.codec.decode(made[0].numpy(), 1)


def build(task: Forecast, codec: ForecastCodec, networks: Sequence[Recurrence]) -> Forecaster:
    """The forecaster of one network, or of the mean of several."""
    network = networks[0] if len(networks) == 1 else Ensemble(networks)
    calibrator = Calibrator(codec.layout.target, task.horizon, task.levels, task.calibration)
    return Forecaster(network, calibrator)


def from_bundle(bundle: Bundle) -> ForecastModel:
    """The model stored in a bundle. Raises BundleError."""
    return restored(bundle, ForecastModel, Forecast, ForecastCodec.from_json, _networks, memory=_memory)


def _memory(plain: Any) -> Memory:
    return from_mapping(Memory, plain, "bundle: memory")


def _networks(
    task: Forecast, codec: ForecastCodec, backbone: BackboneConfig, members: int, memory: Memory
) -> Forecaster:
    return build(task, codec, [task.network(codec, memory, backbone) for _ in range(members)])


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
