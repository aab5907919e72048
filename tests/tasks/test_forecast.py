"""The task: plain values, checked when made, and what it decides from the rows."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import panel
from statewise.tasks.forecast import DEFAULT_QUANTILES, Forecast
from statewise.tasks.forecast_network import ForecastNetwork, Memory


def codec(task: Forecast, length: int, step: str = "1h") -> ForecastCodec:
    start = datetime(2024, 1, 1)
    ds = pl.datetime_range(start, start + timedelta(days=20_000), step, eager=True)
    frame = pl.DataFrame({"ds": ds[:length], "y": np.arange(length, dtype=float)})
    return task.codec(panel(frame, task.schema))


def test_names_may_be_one_or_several_and_become_tuples() -> None:
    task = Forecast(3, target="load", observed="humidity", known=["holiday", "price"], quantiles=[0.5])
    assert (task.target, task.observed, task.known) == (("load",), ("humidity",), ("holiday", "price"))
    assert task.schema.target == ("load",)
    assert (task.levels, Forecast(1).levels) == ((0.5,), DEFAULT_QUANTILES)
    same = {"observed": ("humidity",), "known": ("holiday", "price"), "quantiles": (0.5,)}
    assert task == Forecast(3, target=["load"], **same)


def test_a_task_survives_its_mapping() -> None:
    task = Forecast(6, target=["a", "b"], head="normal", lags=12, difference=3, halflife=7.5, timezone="UTC")
    assert from_mapping(Forecast, to_mapping(task), "task") == task


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"horizon": 0}, "horizon: got 0, want 1 or more."),
        ({"difference": -1}, "difference: got -1, want 0 or more."),
        ({"bins": -1}, "bins: got -1, want 0 or more."),
        ({"penalty": 0.0}, "penalty: got 0.0, want a number above 0."),
        ({"segment_length": 0}, "segment_length: got 0, want 1 or more."),
        ({"lags": 0}, "lags: got 0, want 1 or more."),
        ({"lookback": 0}, "lookback: got 0, want 1 or more."),
        ({"halflife": 0.5}, "halflife: got 0.5, want 1 or more."),
        ({"head": "gaussian"}, "head: no such head 'gaussian'. Known: laplace, logistic, normal, quantile."),
        ({"head": "norml"}, "head: no such head 'norml'. Did you mean 'normal'?"),
        ({"quantiles": (0.1, 0.9)}, "quantiles: got (0.1, 0.9), want the median 0.5 among them."),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Forecast(**({"horizon": 1} | settings))
    assert str(caught.value) == text


def test_a_column_has_one_role() -> None:
    with pytest.raises(ConfigError, match="y"):
        Forecast(1, target="y", observed="y")


@pytest.mark.parametrize(
    ("step", "length", "settings", "want"),
    [
        ("1h", 1000, {}, Memory(168, (24, 168), 1, 168.0)),
        ("1h", 336, {}, Memory(168, (24, 168), 1, 168.0)),
        ("1h", 335, {}, Memory(24, (24,), 1, 24.0)),
        ("1h", 47, {}, Memory(11, (1,), 1, 24.0)),
        ("1h", 2, {}, Memory(2, (1,), 1, 24.0)),
        ("1h", 1000, {"lags": 30}, Memory(30, (24,), 1, 30.0)),
        ("1h", 1000, {"lags": 5, "halflife": 50.0}, Memory(5, (1,), 1, 50.0)),
        ("1h", 1000, {"difference": 100}, Memory(200, (24, 168), 100, 200.0)),
        ("1d", 100, {}, Memory(24, (7,), 1, 24.0)),
        ("1mo", 100, {"difference": 0}, Memory(24, (12,), 0, 24.0)),
        ("10m", 5000, {}, Memory(1008, (144, 1008), 1, 1008.0)),
        ("1y", 30, {}, Memory(7, (1,), 1, 24.0)),
    ],
)
def test_memory_follows_the_seasons_that_fit_twice(
    step: str, length: int, settings: dict[str, Any], want: Memory
) -> None:
    task = Forecast(2, **settings)
    assert task.memory(codec(task, max(length, 3), step), length) == want


def test_lags_shorter_than_the_difference_are_refused() -> None:
    task = Forecast(2, lags=5, difference=24)
    with pytest.raises(ConfigError) as caught:
        task.memory(codec(task, 100), 100)
    assert str(caught.value) == "lags: got 5, want at least the seasons (1,) and difference 24."


def test_the_start_solves_the_linear_readout_and_leaves_weights_to_training() -> None:
    task = Forecast(2, lags=4)
    fitted = codec(task, 200)
    torch.manual_seed(0)
    network = task.network(fitted, task.memory(fitted, 200), BackboneConfig("gru", 4))
    assert isinstance(network, ForecastNetwork)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    now = torch.cumsum(torch.randn(1, 200, fitted.layout.now_size), dim=1)
    ahead = torch.cat((now[0, :, :1], torch.full((2, 1), torch.nan))).unfold(0, 2, 1)[1:].unsqueeze(0)
    task.start(network, iter([(now, ahead, torch.ones(1, 200))]))
    assert (network.linear != 0).any()
    assert "linear" not in before
    assert all(torch.equal(before[name], parameter) for name, parameter in network.named_parameters())


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"head": "normal"}, "head: got 'normal', which a model with `lookback` does not use."),
        ({"lags": 48}, "lags: got 48, which a model with `lookback` does not use."),
        ({"difference": 24}, "difference: got 24, which a model with `lookback` does not use."),
    ],
)
def test_a_lookback_refuses_settings_it_would_ignore(setting: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        Forecast(horizon=24, lookback=96, **setting)
