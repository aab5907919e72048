"""Training a forecaster: statistics and the closed-form start from the rows, then every position at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from statewise.core.errors import ConfigError, shown
from statewise.models.forecast import ForecastModel, build
from statewise.nn.backbone import BackboneConfig
from statewise.rows.panel import panel
from statewise.rows.source import live_rows
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_problem import ForecastProblem, Lanes
from statewise.training.config import DEFAULT_TRAIN
from statewise.training.plan import Kind, Settings, seeded
from statewise.training.randomness import TorchStream

_SAMPLE_ROWS = 48


class ForecastPlan:
    """One fit of a forecaster. Raises DataError for rows that do not fit, ConfigError."""

    def __init__(self, task: Forecast, data: Any, settings: Settings) -> None:
        if settings.share is None:
            got = shown(settings.validation)
            raise ConfigError(f"validation: got {got}, want a share: each series' last rows are held out.")
        self.task, self.settings, self.share = task, settings, settings.share
        self.rows = panel(data, task.schema)
        self.codec = task.codec(self.rows)
        memory = task.memory(self.codec, max(map(len, self.rows.series)))
        networks = seeded(settings, lambda: task.network(self.codec, memory, settings.backbone))
        self.untrained = ForecastModel(
            task=task,
            backbone=settings.backbone,
            memory=memory,
            codec=self.codec,
            network=build(task, self.codec, networks),
            members=settings.members,
        )

    def problems(self) -> Iterator[ForecastProblem[Any]]:
        """One per member, its closed-form start done; statistics come from the training rows alone."""
        task, model, train = self.task, self.untrained, self.settings.train
        lags = model.memory.lags
        arrays = [task.arrays(model.codec, series) for series in self.rows.series]
        lanes = Lanes(lags, max(3 * lags, 256), train.batch_size, train.chunk_length)
        for number, network in enumerate(model.forecaster.networks):
            member: Any = network
            problem = ForecastProblem(member, arrays, model.codec.layout.target, lanes, self.share)
            with TorchStream(self.settings.seed(number), torch.device("cpu")):  # initial states may draw
                task.start(member, problem.batches())
            yield problem

    def model(self, outcome: Mapping[str, Any]) -> ForecastModel:
        """The model with its sample rows."""
        task, first = self.task, self.rows.series[0].head(_SAMPLE_ROWS, self.task.horizon)
        samples = live_rows(first, self.rows.schema, self.untrained.codec.clock, task.horizon)
        return replace(self.untrained, training=outcome).with_samples(list(samples))

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, series, and the time of the newest row."""
        newest = max(series.time[-1] for series in self.rows.series)
        until = self.rows.clock.texts(np.array([newest]))[0]
        return {"rows": self.rows.rows, "series": len(self.rows), "until": until}


KIND = Kind(ForecastPlan, BackboneConfig("lstm", 64, 1, dropout=0.3), DEFAULT_TRAIN)
