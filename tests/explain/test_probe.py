"""The probe finds which reading moves which step, and from which value on."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.models.forecast import ForecastModel
from statewise.recurrence import Recurrence, run_steps
from statewise.tasks.forecast import Forecast

MakeModel = Callable[..., ForecastModel]
TASK = Forecast(horizon=4, observed=["humidity", "temp"], known=["plan"], lags=24)
THRESHOLD, BUMP, AFTER = 75.0, 20.0, 2


def hidden_cycle(hours: int) -> pl.DataFrame:
    """Hourly demand with a bump of 20 exactly 2 h after humidity crosses 75 from below."""
    random, t = np.random.default_rng(0), np.arange(hours)
    humidity, level = np.empty(hours), 0.0
    for i in range(hours):
        level = 0.9 * level + 5 * random.normal()
        humidity[i] = level
    humidity = np.clip(62 + humidity + 6 * np.sin(2 * np.pi * t / 24 + 1), 5, 100)
    crossed = np.append(False, (humidity[1:] >= THRESHOLD) & (humidity[:-1] < THRESHOLD))
    demand = 100 + 15 * np.sin(2 * np.pi * t / 24) + 1.5 * random.normal(size=hours)
    demand[AFTER:] += BUMP * crossed[:-AFTER]
    time = np.datetime64("2023-01-01", "ms") + t.astype("timedelta64[h]")
    values = {
        "y": demand,
        "humidity": humidity,
        "temp": random.normal(size=hours),
        "plan": random.normal(size=hours),
    }
    return pl.DataFrame({"unique_id": "a", "ds": time, **values})


class Crossing(Recurrence):
    """Knows the hidden cycle by heart: state = humidity before, and whether it crossed one step ago."""

    def __init__(self, level: float, bump: float) -> None:
        super().__init__()
        self.level, self.bump = level, bump

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        return torch.full((batch,), 9.0), torch.zeros(batch)

    def step(self, x: tuple[Tensor, Tensor], state: Any) -> tuple[Tensor, Any]:
        humidity, future = x[0][:, 1], x[1]
        crossed = ((humidity >= self.level) & (state[0] < self.level)).float()
        made = torch.stack((state[1], crossed, 0 * crossed, 0 * crossed), dim=1) * self.bump
        made = made + 0.1 * future[..., 0].nan_to_num()  # the plan for an hour moves that hour
        return made[:, None, :, None].expand(-1, -1, -1, 10), (humidity, crossed)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        return run_steps(self.step, x, self.initial_state(len(x[0])) if state is None else state, lengths)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return hidden_cycle(1500)


@pytest.fixture(scope="module")
def model(make_model: MakeModel, frame: pl.DataFrame) -> ForecastModel:
    humidity, demand = frame["humidity"], frame["y"]
    level = (THRESHOLD - humidity.mean()) / humidity.std(ddof=0)
    return make_model(TASK, frame, network=lambda _: Crossing(level, BUMP / demand.std(ddof=0)))


def test_names_the_covariate_the_lag_and_the_threshold(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.probe(frame, max_lag=6)
    first = found.moves[0]
    assert (first.covariate, first.lag, first.step, first.delay) == ("humidity", 0, 2, 2)
    assert first.top == pytest.approx(BUMP, rel=1e-3)
    assert found.curve is not None
    assert found.curve.threshold == pytest.approx(THRESHOLD, abs=1.5)
    assert found.curve.sharpness == pytest.approx(1)
    start = "humidity now (lag 0) moves the forecast 2 hours ahead most: "
    assert found.sentence.startswith(start)
    assert "20.00 where it matters most; the forecast changes fastest around humidity = 7" in found.sentence


def test_sizes_are_those_of_the_counterfactuals(model: ForecastModel, frame: pl.DataFrame) -> None:
    """At lag 0 a low or high reading undoes or makes a crossing wherever the hour before was below 75."""
    found = model.probe(frame, ["humidity"], max_lag=1)
    before = np.quantile(frame["humidity"], 0.9) >= THRESHOLD  # else the high value would not cross
    assert before
    share = (frame["humidity"].to_numpy() < THRESHOLD).mean()
    assert found.mean[0, 0, 1] == pytest.approx(BUMP * share, rel=0.15)


def test_a_covariate_without_effect_moves_nothing(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.probe(frame, ["temp"], max_lag=3)
    assert found.moves == ()
    assert found.sentence == "No covariate moves the forecast of y."
    assert found.curve is None


def test_columns_known_ahead_have_negative_lags(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.probe(frame, ["plan"], max_lag=2)
    assert {(move.lag, move.step) for move in found.moves} == {(-k, k) for k in (1, 2, 3, 4)}
    assert all(move.delay == 0 for move in found.moves)
    assert "plan 1 hour ahead (lag -1) moves the forecast 1 hour ahead" in found.sentence


def test_missing_readings_stay_missing(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.probe(frame.with_columns(humidity=pl.lit(None, dtype=pl.Float64)), ["humidity"], max_lag=2)
    assert found.moves == ()


def test_table_lists_the_strongest(model: ForecastModel, frame: pl.DataFrame) -> None:
    lines = model.probe(frame, max_lag=3).table(rows=2).splitlines()
    assert lines[0] == "y: what a single reading moves (1 step = 1h)"
    assert lines[2].split() == ["lag", "step", "delay", "mean", "top", "tenth", "spread"]
    assert lines[3].split()[:4] == ["humidity", "0", "+2", "2"]
    assert lines[4].split()[:4] == ["humidity", "1", "+1", "2"]
    assert lines[5] == ""


def test_plain_values(model: ForecastModel, frame: pl.DataFrame) -> None:
    plain = json.loads(json.dumps(model.probe(frame, max_lag=1).to_mapping()))
    assert plain["moves"][0]["covariate"] == "humidity"
    assert plain["curve"]["threshold"] == pytest.approx(THRESHOLD, abs=1.5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"covariates": ["humid"]},
            "covariates: 'humid' is no covariate of numbers. Did you mean 'humidity'?",
        ),
        ({"target": "x"}, "target: no such target 'x'. Known: y."),
        (
            {"max_lag": 1500},
            (
                "probe: got max_lag 1500 and 200 origins, want a lag of 0 to 1499 (the rows there are) and "
                "at least 1 origin."
            ),
        ),
    ],
)
def test_errors(model: ForecastModel, frame: pl.DataFrame, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model.probe(frame, **options)
    assert str(caught.value) == text


@pytest.mark.slow
def test_a_trained_model_shows_the_hidden_cycle() -> None:
    import statewise as sw

    frame = hidden_cycle(6000)
    config = sw.TrainConfig(steps=400, batch_size=8, learning_rate=1e-2)
    task = sw.Forecast(horizon=4, observed=["humidity", "temp"])
    model = sw.fit(task, frame, cell="gru", hidden_size=32, dropout=0.0, train=config, progress=False)
    found = model.probe(frame, max_lag=12, progress=False)
    first = found.moves[0]
    assert (first.covariate, first.lag + first.step) == (
        "humidity",
        2,
    )  # seen now or an hour ago: two hours later
    assert first.top > 15
    assert found.curve is not None
    assert found.curve.threshold == pytest.approx(THRESHOLD, abs=2)
