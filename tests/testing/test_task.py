"""`check_task`: it passes for tasks that keep the law, and names what breaks in those that do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import DataError, LawError
from statewise.data import datasets
from statewise.nn.backbone import BackboneConfig
from statewise.rows.forecast import ForecastCodec
from statewise.rows.layout import ForecastArrays
from statewise.rows.panel import Series
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_network import ForecastNetwork, ForecastState, Signals
from statewise.testing import check_task

Frames = Callable[..., pl.DataFrame]


def test_a_task_with_every_role_keeps_the_law(small_task: Forecast, make_frame: Frames) -> None:
    before = torch.get_rng_state()
    check_task(small_task, make_frame())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "normal", "difference": 24, "known": "day"},
        {"target": ("load", "price"), "lookback": 24, "segment_length": 6, "static": "size"},
    ],
)
def test_other_tasks_keep_it_too(settings: dict[str, Any], make_frame: Frames) -> None:
    task = Forecast(**({"horizon": 3, "target": "load", "frequency": "1h"} | settings))
    check_task(task, make_frame(), backbone=BackboneConfig("gru", 4))


def test_real_rows_keep_it() -> None:
    """Hourly flights of three airports with weather, through a clock change in New York."""
    start = pl.datetime(2013, 3, 1, time_zone="America/New_York")
    flights = datasets.load("nyc_flights").filter(
        pl.col("ds").is_between(start, start + pl.duration(days=15))
    )
    task = Forecast(6, target=("departures", "delay"), observed=("temp", "humid"), known="scheduled")
    check_task(task, flights, rows=400)


def test_rows_may_be_few() -> None:
    ds = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(3)]
    check_task(Forecast(2), pl.DataFrame({"ds": ds, "y": [1.0, 2.0, 4.0]}))


def test_rows_that_do_not_fit_are_a_data_error(small_task: Forecast, make_frame: Frames) -> None:
    with pytest.raises(DataError, match="humidity"):
        check_task(small_task, make_frame().drop("humidity"))


class WholeMean(ForecastNetwork):
    """Planted: levels are those of the whole sequence at hand, later values included."""

    def signals(
        self, now: Tensor, state: ForecastState, lengths: Tensor | None = None
    ) -> tuple[Signals, ForecastState]:
        signals, after = super().signals(now, state, lengths)
        return signals._replace(features=signals.features - signals.features.mean(1, keepdim=True)), after


class Forgetful(ForecastNetwork):
    """Planted: every chunk starts its running level anew."""

    def signals(
        self, now: Tensor, state: ForecastState, lengths: Tensor | None = None
    ) -> tuple[Signals, ForecastState]:
        fresh = self.initial_state(len(now))
        if now.shape[1] > 1:
            state = state._replace(running=fresh.running)
        return super().signals(now, state, lengths)


class BlindToPadding(ForecastNetwork):
    """Planted: the state after padded rows is that after the padding."""

    def signals(
        self, now: Tensor, state: ForecastState, lengths: Tensor | None = None
    ) -> tuple[Signals, ForecastState]:
        return super().signals(now, state, None)


class BatchMean(ForecastNetwork):
    """Planted: a step is centred over the batch it rides in."""

    def _embedded(self, signals: Signals) -> Tensor:
        embedded = super()._embedded(signals)
        return embedded - embedded.mean(0, keepdim=True)


class FreshLoss(ForecastNetwork):
    """Planted: the training loss forgets the state that is handed over."""

    def losses(
        self, x: tuple[Tensor, Tensor], target: Tensor, state: ForecastState
    ) -> tuple[Tensor, Tensor, ForecastState]:
        return super().losses(x, target, self.initial_state(len(target)))


class NoGradient(ForecastNetwork):
    """Planted: a live step without gradient."""

    def step(self, x: tuple[Tensor, Tensor], state: ForecastState) -> tuple[Tensor, ForecastState]:
        with torch.no_grad():
            return super().step(x, state)


class InPlace(ForecastNetwork):
    """Planted: a step writes into the state it was given."""

    def step(self, x: tuple[Tensor, Tensor], state: ForecastState) -> tuple[Tensor, ForecastState]:
        made, after = super().step(x, state)
        with torch.no_grad():
            states.map_state(lambda old, new: old.copy_(new), state.seen, after.seen)
        return made, after


class NanIsZero(ForecastNetwork):
    """Planted: a step takes a missing value for a zero, the whole pass does not."""

    def step(self, x: tuple[Tensor, Tensor], state: ForecastState) -> tuple[Tensor, ForecastState]:
        return super().step((x[0].nan_to_num(), x[1]), state)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (WholeMean, "breaks law 2 .*outputs before step 1 when x changes from there on"),
        (Forgetful, "breaks law 3 .*cut at"),
        (BlindToPadding, "breaks law 4 .*an empty row's state changes"),
        (BatchMean, "breaks law 5 .*row 0 alone"),
        (FreshLoss, "FreshLoss breaks law 3 .*losses cut at 1 differ by"),
        (NoGradient, "breaks law 6 .*steps and whole"),
        (InPlace, "breaks law 2 .*step changes its state in place"),
        (NanIsZero, "breaks law 2 .*steps and whole"),
    ],
)
def test_planted_bugs_of_a_network_are_caught(
    network: type[ForecastNetwork], text: str, small_task: Forecast, make_frame: Frames
) -> None:
    @dataclass(frozen=True)
    class Broken(Forecast):
        def network(self, codec: ForecastCodec, memory: Any, backbone: BackboneConfig) -> Any:
            return network(codec.layout, self.horizon, memory, self.levels, backbone)

    task = Broken(**{name: getattr(small_task, name) for name in [f.name for f in fields(Forecast)]})
    with pytest.raises(LawError, match=text):
        check_task(task, make_frame())


class LeakyCodec(ForecastCodec):
    """Planted: a series is centred by its own mean, later rows included."""

    def encode(self, series: Series) -> ForecastArrays:
        now, future = super().encode(series)
        return ForecastArrays(now - np.nanmean(now[:, :1]), future)


class LateCalendar(ForecastCodec):
    """Planted: the future of a position begins with the position itself."""

    def encode(self, series: Series) -> ForecastArrays:
        now, future = super().encode(series)
        return ForecastArrays(now, np.concatenate((future[:1], future[:-1])))


class FilledGaps(ForecastCodec):
    """Planted: live, the times between two rows repeat the newer one."""

    def encode_gap(self, previous_time: Any, gap: int, now: Any, future: Any) -> Any:
        missing, ahead = super().encode_gap(previous_time, gap, now, future)
        return np.where(np.isnan(missing), now, missing), ahead


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            LeakyCodec,
            (
                r"^codec breaks law 2 \(steps equal the whole and change nothing in place\): series 's0', "
                r"row 0: now of 'load' is \S+ when encoded alone, \S+ in the whole series\.$"
            ),
        ),
        (LateCalendar, r"series 's0', row \d+: future of 'sin day' is \S+ when encoded alone, \S+ in the"),
        (
            FilledGaps,
            r"series 's0', row \d+: now of 'load' is \S+ when encoded alone, nan in the whole series",
        ),
    ],
)
def test_planted_bugs_of_a_codec_are_caught(
    kind: type[ForecastCodec], text: str, small_task: Forecast, make_frame: Frames
) -> None:
    @dataclass(frozen=True)
    class Broken(Forecast):
        def codec(self, panel: Any) -> ForecastCodec:
            fitted = super().codec(panel)
            return kind(**{name: getattr(fitted, name) for name in ForecastCodec.__dataclass_fields__})

    task = Broken(**{name: getattr(small_task, name) for name in [f.name for f in fields(Forecast)]})
    with pytest.raises(LawError) as caught:
        check_task(task, make_frame())
    assert re.search(text, str(caught.value))
