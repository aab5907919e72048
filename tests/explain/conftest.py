"""Small forecasters to explain: a linear one, whose Shapley values are known by hand, and a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from statewise.models.forecast import ForecastModel, build
from statewise.nn.backbone import BackboneConfig
from statewise.recurrence import Recurrence, run_steps
from statewise.rows.panel import panel
from statewise.tasks.forecast import Forecast

HOURS = 700


def make_frame(hours: int = HOURS, series: tuple[str, ...] = ("a",)) -> pl.DataFrame:
    """Hourly rows with a day in them; temp and wind are the same numbers; quiet is constant."""
    parts = []
    for seed, name in enumerate(series):
        random = np.random.default_rng(seed)
        t = np.arange(hours)
        time = np.datetime64("2024-01-01", "ms") + t.astype("timedelta64[h]")
        temp = random.normal(size=hours) * 5 + 10
        y = 50 + 10 * np.sin(2 * np.pi * t / 24) + random.normal(size=hours)
        values = {"y": y, "z": 2 * y + random.normal(size=hours), "temp": temp, "wind": temp, "quiet": 3.0}
        flags = {"holiday": (t // 24 % 5 == 1).astype(float), "area": float(seed)}
        parts.append(pl.DataFrame({"unique_id": name, "ds": time, **values, **flags}))
    return pl.concat(parts)


class LinearNetwork(Recurrence):
    """Forecasts from a decayed sum of the rows: horizon step k weighs row t - j by weight[k] * decay**j."""

    def __init__(self, inputs: int, ahead: int, targets: int, horizon: int, bend: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(inputs, targets, horizon, generator=generator))
        self.known = nn.Parameter(torch.randn(ahead, targets, generator=generator))
        self.targets, self.horizon, self.decay, self.bend = targets, horizon, 0.97, bend

    def initial_state(self, batch: int) -> Tensor:
        return self.weight.new_zeros(batch, len(self.weight))

    def step(self, x: tuple[Tensor, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        now, future = x
        state = self.decay * state + now.nan_to_num()
        made = torch.einsum("bf,fdh->bdh", state.tanh() if self.bend else state, self.weight)
        made = made + torch.einsum("bhg,gd->bdh", future.nan_to_num(), self.known)
        return made.unsqueeze(-1).expand(*made.shape, 10), state

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        state = self.initial_state(len(x[0])) if state is None else state
        return run_steps(self.step, x, state, lengths)


TASK = Forecast(
    horizon=6, target="y", observed=["temp", "wind", "quiet"], known=["holiday"], static=["area"], lags=24
)


def make_model(
    task: Forecast = TASK, frame: pl.DataFrame | None = None, network: Any = None
) -> ForecastModel:
    """A model with random weights everywhere, or with the network that `network(layout)` makes."""
    rows = panel(make_frame() if frame is None else frame, task.schema)
    codec = task.codec(rows)
    memory, backbone = task.memory(codec, HOURS), BackboneConfig("gru", 8)
    torch.manual_seed(0)
    forecaster = build(task, codec, [task.network(codec, memory, backbone)]).eval()
    if network is not None:
        forecaster.network = network(codec.layout)
    with torch.no_grad():
        for parameter in forecaster.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return ForecastModel(task=task, backbone=backbone, memory=memory, codec=codec, network=forecaster)


@pytest.fixture(scope="session", name="make_frame")
def make_frame_fixture() -> Callable[..., pl.DataFrame]:
    return make_frame


@pytest.fixture(scope="session", name="make_model")
def make_model_fixture() -> Callable[..., ForecastModel]:
    return make_model


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    return make_frame()


@pytest.fixture(scope="session")
def model() -> ForecastModel:
    return make_model()


@pytest.fixture(scope="session")
def linear_model() -> Callable[..., ForecastModel]:
    def made(bend: bool = False) -> ForecastModel:
        return make_model(
            network=lambda layout: LinearNetwork(layout.now_size, layout.future_size, 1, 6, bend)
        )

    return made
