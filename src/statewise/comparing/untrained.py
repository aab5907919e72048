"""Models before training: to count their weights and time their step, and the linear readout alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from statewise.models.forecast import ForecastModel, build
from statewise.nn.backbone import BackboneConfig
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import Panel, panel
from statewise.rows.source import live_rows
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_network import Memory
from statewise.tasks.forecast_problem import ForecastProblem, Lanes
from statewise.training.randomness import TorchStream

_SAMPLE_ROWS = 48  # replayed wherever the model is loaded
_BACKBONE = {field.name for field in fields(BackboneConfig)}


@dataclass(frozen=True, eq=False)
class Ground:
    """What the rows alone settle, before any cell is chosen."""

    task: Forecast
    rows: Panel
    codec: ForecastCodec
    memory: Memory

    def model(self, settings: Mapping[str, Any]) -> ForecastModel:
        """The untrained model that `sw.fit` would start from with these settings. Raises ConfigError."""
        backbone = BackboneConfig(**{key: value for key, value in settings.items() if key in _BACKBONE})
        members = int(settings.get("members", 1))
        with TorchStream(0, torch.device("cpu")):
            networks = [self.task.network(self.codec, self.memory, backbone) for _ in range(members)]
        forecaster = build(self.task, self.codec, networks).eval()
        return ForecastModel(
            task=self.task,
            backbone=backbone,
            memory=self.memory,
            codec=self.codec,
            network=forecaster,
            members=members,
        )

    def linear(self) -> ForecastModel:
        """The ridge readout of the lags that every network starts from, its recurrent part silent."""
        model = self.model({"cell": "rnn", "hidden_size": 1})
        network: Any = model.forecaster.networks[0]
        arrays = [self.task.arrays(self.codec, series) for series in self.rows.series]
        lags = self.memory.lags
        lanes = Lanes(lags, max(3 * lags, 256), 8, None)
        problem = ForecastProblem(network, arrays, self.codec.layout.target, lanes, 0.0)
        with TorchStream(0, torch.device("cpu")):
            self.task.start(network, problem.batches())
        return model


def linear_model(task: Forecast, data: Any) -> ForecastModel:
    """The closed-form readout fitted to all rows of `data`, as a model to be used, saved and streamed."""
    base = ground(task, data)
    rows = base.rows
    newest = np.array([max(series.time[-1] for series in rows.series)])
    model = replace(base.linear(), training={"rows": rows.rows, "until": rows.clock.texts(newest)[0]})
    first = rows.series[0].head(_SAMPLE_ROWS, task.horizon)
    return model.with_samples(list(live_rows(first, rows.schema, rows.clock, task.horizon)))


def ground(task: Forecast, data: Any) -> Ground:
    """The ground that the rows of `data` make. Raises DataError."""
    rows = panel(data, task.schema)
    codec = task.codec(rows)
    return Ground(task, rows, codec, task.memory(codec, max(map(len, rows.series))))


def parameters(model: ForecastModel) -> int:
    """Weights that training changes."""
    return sum(weight.numel() for weight in model.forecaster.network.parameters() if weight.requires_grad)
