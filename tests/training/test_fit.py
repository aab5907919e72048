"""`sw.fit`: exact to the bit whatever happens on the way, and quiet about everything but its progress."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

import statewise as sw
from statewise.core.errors import ConfigError, DataError, TrainingError
from statewise.models.forecast import ForecastModel
from statewise.tasks.forecast import Forecast
from statewise.training.config import TrainConfig
from statewise.training.plan import Settings
from statewise.training.plans import forecast as plans

Frames = Callable[..., pl.DataFrame]
QUICK = TrainConfig(steps=6, batch_size=2, chunk_length=40, validate_every=2, average=0.9, threads=1)
SETTINGS: dict[str, Any] = {"hidden_size": 4, "recurrent_dropout": 0.2, "progress": False}


def weights(model: ForecastModel) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in model.forecaster.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def frame(make_frame: Frames) -> pl.DataFrame:
    return make_frame((400, 90))


@pytest.fixture(scope="module")
def whole(small_task: Forecast, frame: pl.DataFrame) -> ForecastModel:
    """The run that others are held to."""
    return sw.fit(small_task, frame, train=QUICK, **SETTINGS)


def test_one_seed_gives_one_model(whole: ForecastModel, small_task: Forecast, frame: pl.DataFrame) -> None:
    torch.manual_seed(123)  # what happens around a fit has no part in it
    again = sw.fit(small_task, frame, train=QUICK, **SETTINGS)
    assert equal(weights(again), weights(whole))
    assert again.predict(frame).equals(whole.predict(frame))


def test_another_seed_gives_another_model(
    whole: ForecastModel, small_task: Forecast, frame: pl.DataFrame
) -> None:
    train = TrainConfig(**{**vars(QUICK), "seed": 1})
    other = weights(sw.fit(small_task, frame, train=train, **SETTINGS))
    assert not torch.equal(other["network.embed.weight"], weights(whole)["network.embed.weight"])
    assert torch.equal(other["network.linear"], weights(whole)["network.linear"])  # in closed form


def test_options_of_the_cell_are_used_and_saved(
    small_task: Forecast, frame: pl.DataFrame, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "recurrent_dropout": 0.0, "cell": "mamba", "options": {"state_size": 3}}
    model = sw.fit(small_task, frame, train=QUICK, **settings)
    sizes = {name.rpartition(".")[2]: weight.numel() for name, weight in weights(model).items()}
    assert sizes["log_decay"] == 3 * sizes["around"]  # one per channel and state
    model.save(tmp_path / "model.sw", onnx=False)
    assert sw.load(tmp_path / "model.sw").predict(frame).equals(model.predict(frame))


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("every", [0, 1])
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(
    step: int,
    every: int,
    whole: ForecastModel,
    small_task: Forecast,
    frame: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = TrainConfig(**{**vars(QUICK), "checkpoint_every": every})
    path = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch:
        interrupt_at(step, patch)
        with pytest.raises(KeyboardInterrupt):
            sw.fit(small_task, frame, train=train, checkpoint=path, **SETTINGS)
    assert path.exists()
    model = sw.fit(small_task, frame, train=train, checkpoint=path, **SETTINGS)
    assert equal(weights(model), weights(whole))
    assert (model.training["step"], model.training["best"]) == (6, whole.training["best"])
    finished = sw.fit(small_task, frame, train=train, checkpoint=path, **SETTINGS)
    assert equal(weights(finished), weights(whole))


def interrupt_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C while the bar is drawn."""
    from tqdm.auto import tqdm

    seen = 0

    def interrupted(self: Any, *arguments: Any, **options: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            raise KeyboardInterrupt

    patch.setattr(tqdm, "set_postfix_str", interrupted)


def test_the_checkpoint_of_another_run_is_refused(
    small_task: Forecast, frame: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    sw.fit(small_task, frame, train=QUICK, checkpoint=path, **SETTINGS)
    train = TrainConfig(**{**vars(QUICK), "learning_rate": 0.5})
    with pytest.raises(
        ConfigError, match=r"learning_rate was 0\.003 and is now 0\.5\. Continue with the same"
    ):
        sw.fit(small_task, frame, train=train, checkpoint=path, **SETTINGS)
    with pytest.raises(ConfigError, match=r"weight \S+ has shape \[\d.*, the network wants \["):
        sw.fit(small_task, frame, train=QUICK, checkpoint=path, **(SETTINGS | {"hidden_size": 5}))


def test_it_leaves_random_numbers_threads_and_streams_alone(
    small_task: Forecast,
    frame: pl.DataFrame,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random, numpy = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    monkeypatch.setattr(torch, "set_num_threads", lambda count: threads.append(count))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    threads = [7]
    for show in (True, False):
        sw.fit(small_task, frame, train=QUICK, **(SETTINGS | {"progress": show}))
    with pytest.raises(TrainingError):
        sw.fit(small_task, frame, train=TrainConfig(**{**vars(QUICK), "learning_rate": 1e30}), **SETTINGS)
    assert threads[-1] == 7  # put back every time, after an error too
    assert set(threads) == {1, 7}
    assert torch.equal(torch.get_rng_state(), random)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002
    assert capfd.readouterr() == ("", "")  # not a terminal: no bar


def test_in_a_terminal_the_bar_is_drawn_on_stderr_alone(
    small_task: Forecast,
    frame: pl.DataFrame,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    sw.fit(small_task, frame, train=QUICK, **(SETTINGS | {"progress": True}))
    out, err = capfd.readouterr()
    assert out == ""
    assert "fit: 100%" in err
    assert "step 6, loss " in err


def test_a_time_budget_ends_the_run(small_task: Forecast, frame: pl.DataFrame) -> None:
    train = TrainConfig(time_budget=0.4, batch_size=2, threads=1)
    model = sw.fit(small_task, frame, train=train, **SETTINGS)
    assert model.training["stopped"] == "time_budget"
    assert model.training["elapsed"] < 10  # and not the thousand steps that it takes without a limit
    assert 1 <= model.training["step"] < 1000


def test_the_best_weights_are_kept_and_patience_ends_the_run(
    small_task: Forecast, frame: pl.DataFrame
) -> None:
    train = TrainConfig(steps=200, batch_size=2, validate_every=1, patience=3, learning_rate=0.3, threads=1)
    model = sw.fit(small_task, frame, train=train, **SETTINGS)
    assert model.training["stopped"] == "patience"
    assert model.training["step"] < 200
    problem = replayed(model, small_task, frame)
    with torch.no_grad():
        best = problem.validate(model.forecaster.network)
    assert best == pytest.approx(model.training["best"], rel=1e-5)


def replayed(model: ForecastModel, task: Forecast, frame: pl.DataFrame) -> Any:
    """The training problem that the model was fitted on, with its held-out tails."""
    return next(plans.ForecastPlan(task, frame, Settings(model.backbone, QUICK)).problems())


def test_without_validation_all_rows_are_trained_to_the_last_step(
    small_task: Forecast, frame: pl.DataFrame, make_frame: Frames
) -> None:
    for rows, share in ((frame, 0.0), (make_frame((11,), missing=0.0), 0.1)):  # asked for, or too short
        model = sw.fit(small_task, rows, train=QUICK, validation=share, **SETTINGS)
        assert (model.training["step"], model.training["best"]) == (6, None)
        assert model.training["config"]["validate_every"] == 0


def test_what_was_used_is_stored_as_plain_values(whole: ForecastModel) -> None:
    plain = json.loads(json.dumps(dict(whole.training)))
    assert plain == whole.training
    assert TrainConfig(**plain["config"]) == QUICK
    assert (plain["series"], plain["rows"], plain["validation_share"]) == (2, 490, 0.1)
    assert plain["until"] == "2024-04-14T15:00:00"


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 60,  # constant
        [0.0] * 59 + [1e12],  # a jump out of all bounds at the very end
        [1e-30 * i for i in range(60)],
        [1e30 * (-1) ** i for i in range(60)],
        [None] * 40 + [1.0, 2.0] * 10,
        [1.0, *[None] * 58, 2.0],
    ],
)
def test_strange_rows_still_give_a_finite_model(values: list[float | None]) -> None:
    ds = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(60)]
    frame = pl.DataFrame({"ds": ds, "y": values}, schema_overrides={"y": pl.Float64})
    model = sw.fit(Forecast(3), frame, train=QUICK, **SETTINGS)
    for weight in weights(model).values():
        assert torch.isfinite(weight).all()
    assert np.isfinite(model.predict(frame).drop("unique_id", "ds").to_numpy()).all()


def test_infinite_rows_are_named(frame: pl.DataFrame, small_task: Forecast) -> None:
    wild = frame.with_columns(humidity=pl.lit(float("inf")))
    with pytest.raises(DataError, match="humidity"):
        sw.fit(small_task, wild, train=QUICK, **SETTINGS)


def test_a_weight_that_is_not_finite_stops_the_run(
    small_task: Forecast, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*arguments: Any) -> Any:
        forecaster = build(*arguments)
        with torch.no_grad():
            forecaster.network.embed.weight[0, 0] = torch.nan
        return forecaster

    build = plans.build
    monkeypatch.setattr(plans, "build", poisoned)
    with pytest.raises(TrainingError, match=r"^step 1 .*Culprit: weight embed\.weight\[0, 0\] is nan"):
        sw.fit(small_task, frame, train=QUICK, **SETTINGS)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"validation": 1.0}, "validation: got 1.0, want a share from 0 to below 0.9."),
        (
            {"validation": "tail"},
            "validation: got 'tail', want a share: each series' last rows are held out.",
        ),
        ({"validation": -0.1}, "validation: got -0.1, want a share from 0 to below 0.9."),
        ({"cell": "grru"}, "cell: no such cell 'grru'. Did you mean 'gru'?"),
        ({"hidden_size": 0}, "hidden_size: got 0, want 1 or more."),
        ({"dropout": 1.0}, "dropout: got 1.0, want 0 ≤ rate < 1."),
    ],
)
def test_settings_that_do_not_fit(
    settings: dict[str, Any], text: str, small_task: Forecast, frame: pl.DataFrame
) -> None:
    with pytest.raises(ConfigError) as caught:
        sw.fit(small_task, frame, **(SETTINGS | settings))
    assert str(caught.value) == text


def test_one_row_is_too_few() -> None:
    frame = pl.DataFrame({"ds": [datetime(2024, 1, 1)], "y": [1.0]})
    with pytest.raises(DataError):
        sw.fit(Forecast(3, frequency="1h"), frame, train=QUICK, **SETTINGS)


def test_it_learns_a_threshold_that_no_linear_model_sees() -> None:
    """Demand jumps by 10 two hours after a gauge passes 1: known in advance, so it can be forecast."""
    rng = np.random.default_rng(0)
    gauge = rng.normal(size=1500)
    demand = 0.3 * rng.normal(size=1500)
    demand[2:] += 10 * (gauge[:-2] > 1)
    ds = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(1500)]
    frame = pl.DataFrame({"ds": ds, "y": demand, "gauge": gauge})
    task = Forecast(2, observed="gauge", lags=24, difference=0)
    train = TrainConfig(steps=150, batch_size=8, learning_rate=0.01, validate_every=50, threads=1)
    model = sw.fit(task, frame.head(1300), hidden_size=16, dropout=0.0, train=train, progress=False)
    rolled = model.rolling(frame, [np.datetime64(each, "s") for each in ds[1300:1490]])
    two = rolled.group_by("cutoff", maintain_order=True).agg(pl.col("mean").last(), pl.col("ds").last())
    joined = two.join(frame, on="ds")
    error = (joined["mean"] - joined["y"]).abs()
    assert float(error.filter(joined["y"] > 5).mean()) < 3
    assert float(error.mean()) < 1.5
