"""The backtest: same questions for all, nothing from the future, plain words, exact errors."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from statewise.core.errors import ConfigError, DataError
from statewise.evaluation.backtest import backtest
from statewise.evaluation.baselines import naive, seasonal_naive
from statewise.metrics import forecast as metrics
from statewise.rows.schema import ForecastSchema


@pytest.fixture
def run(task):
    def call(forecaster, data, **settings):
        settings = {"task": task, "origins": 12, "step": 12, "progress": False, **settings}
        return backtest(forecaster, data, **settings)

    return call


def test_scores_are_those_of_the_forecast_rows(run, frame, truth):
    report = run(lambda history, future: truth(history), frame)
    rows = report.forecasts.filter(pl.col("model") == "forecaster")
    assert rows.height == 12 * 2 * 6
    score = report.scores.filter(pl.col("model") == "forecaster").row(0, named=True)
    quantiles = rows.select("q0.1", "q0.5", "q0.9").to_numpy()
    assert score["mae"] == pytest.approx(float(metrics.mae(rows["y"], rows["q0.5"])))
    assert score["rmse"] == pytest.approx(float(metrics.rmse(rows["y"], rows["mean"])))
    assert score["smape"] == pytest.approx(float(metrics.smape(rows["y"], rows["q0.5"])))
    assert score["crps"] == pytest.approx(float(metrics.crps(rows["y"], quantiles, (0.1, 0.5, 0.9))))
    assert score["wql"] == pytest.approx(float(metrics.wql(rows["y"], quantiles, (0.1, 0.5, 0.9))))
    assert (score["n"], score["missing"]) == (144, 0)
    first = rows["cutoff"].min()
    scale = {
        name: float(metrics.seasonal_naive_error(part["y"], 24))
        for (name,), part in frame.filter(pl.col("ds") <= first).group_by("unique_id")
    }
    scaled = metrics.mase(rows["y"], rows["q0.5"], [scale[name] for name in rows["unique_id"]])
    assert score["mase"] == pytest.approx(float(scaled))
    steps = report.by_horizon.filter(pl.col("model") == "forecaster")
    assert steps["mae"].mean() == pytest.approx(score["mae"])
    assert steps["horizon"].to_list() == [1, 2, 3, 4, 5, 6]


def test_the_last_window_ends_with_the_data_and_windows_step_back(run, frame):
    report = run(naive(ForecastSchema(), 6), frame, origins=3, step=None)
    assert report.forecasts["ds"].max() == frame["ds"].max()
    cutoffs = report.forecasts["cutoff"].unique().sort()
    assert cutoffs.diff().drop_nulls().to_list() == [timedelta(hours=6)] * 2
    assert report.settings["step"] == 6
    given = cutoffs.to_list()[1:]
    assert run(naive(ForecastSchema(), 6), frame, origins=given).settings["origins"] == 2


def test_a_forecaster_sees_only_rows_up_to_the_cutoff_and_known_columns(run, frame, make_task, truth):
    frame = frame.with_columns(pl.col("ds").dt.hour().alias("hour"), pl.col("y").alias("seen"))
    schema = ForecastSchema(known=("hour",), observed=("seen",))
    calls = []

    def spy(history, future):
        calls.append((history["ds"].max(), future))
        return truth(history)

    report = run(spy, frame, task=make_task(6, schema))
    assert [newest for newest, _ in calls] == report.forecasts["cutoff"].unique().sort().to_list()
    for newest, future in calls:
        assert future.columns == ["unique_id", "ds", "hour"]
        assert future["ds"].min() > newest
        assert future.height == 12


def test_pandas_in_pandas_out(run, frame, truth):
    def forecaster(history, future):
        assert isinstance(history, pd.DataFrame)
        assert future is None
        return truth(pl.from_pandas(history)).to_pandas()

    theirs = run(forecaster, frame.to_pandas())
    ours = run(lambda history, future: truth(history), frame)
    assert theirs.scores.drop("seconds").equals(ours.scores.drop("seconds"))


def test_rolling_and_repeated_calls_give_the_same_report(run, frame):
    rolling = naive(ForecastSchema(), 6)
    report = run({"rolling": rolling, "calls": lambda h, f: rolling(h, f)}, frame)
    rows = [report.forecasts.filter(pl.col("model") == name).drop("model") for name in ("rolling", "calls")]
    assert rows[0].equals(rows[1])


def test_refit_sees_only_the_past_and_as_often_as_asked(run, frame):
    seen = []

    def refit(history):
        seen.append(history["ds"].max())
        return naive(ForecastSchema(), 6)

    report = run(None, frame, refit=refit, refit_every=5)
    cutoffs = report.forecasts["cutoff"].unique().sort().to_list()
    assert seen == [cutoffs[0], cutoffs[5], cutoffs[10]]
    assert "refitted every 5 origins" in str(report)
    two = run({"x": None, "y": naive(ForecastSchema(), 6)}, frame, refit={"x": refit})
    mine = [two.forecasts.filter(pl.col("model") == name)["mean"].to_list() for name in ("x", "y")]
    assert mine[0] == mine[1]


def test_a_good_model_wins_in_words(run, frame, truth):
    report = run({"statewise": lambda h, f: truth(h)}, frame, origins=30, step=6)
    assert report.verdict.startswith("statewise beats seasonal_naive, the best baseline, by ")
    assert "95 %, paired over 30 origins in blocks of 3)" in report.verdict
    assert report.models == ("statewise",)
    assert report.baselines[0] == "seasonal_naive"
    score = report.scores.filter(pl.col("model") == "statewise").row(0, named=True)
    assert score["skill"] > 0.2
    assert 0.7 < score["coverage_80"] < 0.9


def test_a_bad_model_is_told_to_step_aside(run, frame):
    report = run({"statewise": seasonal_naive(ForecastSchema(), 6, 11)}, frame, origins=30, step=6)
    assert "beats statewise by" in report.verdict
    assert ": use seasonal_naive (MASE" in report.verdict


def test_a_difference_within_noise_is_no_win(run, frame):
    rng = np.random.default_rng(0)
    season = seasonal_naive(ForecastSchema(), 6, 24, (0.5,))

    def jitter(history, future):
        noise = pl.Series(rng.normal(scale=0.3, size=12))
        return season(history, future).with_columns(pl.col("mean", "q0.5") + noise)

    text = run({"statewise": jitter}, frame, baselines=("seasonal_naive",)).verdict
    assert text.startswith("statewise is no better than seasonal_naive: ")
    assert "is within noise; use seasonal_naive (MASE" in text


def test_nothing_beats_a_random_walk(run, make_task):
    rng = np.random.default_rng(3)
    days = np.datetime64("2020-01-01", "us") + np.arange(600) * np.timedelta64(86_400, "s")
    walk = pl.DataFrame({"ds": days, "y": 100 + np.cumsum(rng.normal(size=600))})
    mean = lambda h, f: naive(ForecastSchema(), 6)(h).with_columns(pl.lit(h["y"].mean()).alias("mean"))  # noqa: E731
    report = run({"mean": lambda h, f: mean(h, f).drop(pl.selectors.starts_with("q"))}, walk, origins=30)
    assert " beats mean by " in report.verdict
    assert "Nothing here beats naive, the random walk, by more than noise." in report.verdict


def test_several_targets_are_never_added_up_in_units(run, frame, make_task):
    frame = frame.with_columns((pl.col("y") * 1000).alias("z"))
    task = make_task(6, ForecastSchema(target=("y", "z")))
    report = run({"m": naive(task.schema, 6)}, frame, task=task)
    mine = {row["target"]: row for row in report.scores.filter(pl.col("model") == "m").to_dicts()}
    assert list(mine) == ["y", "z", "all"]
    assert mine["z"]["mae"] == pytest.approx(1000 * mine["y"]["mae"])
    assert mine["all"]["mae"] is mine["all"]["crps"] is mine["all"]["width_80"] is None
    assert mine["all"]["mase"] == pytest.approx(mine["y"]["mase"])
    assert mine["all"]["wql"] == pytest.approx(mine["y"]["wql"])
    assert "\ny: " in report.verdict
    assert "\nz: " in report.verdict


def test_missing_answers_and_missing_actuals_are_counted_in_words(run, frame, truth):
    short = lambda h, f: truth(h).with_columns(  # noqa: E731
        pl.when(pl.col("unique_id") == "a").then(None).otherwise("q0.5").alias("q0.5"),
        pl.when(pl.col("unique_id") == "a").then(None).otherwise("mean").alias("mean"),
    )
    report = run({"half": short}, frame)
    assert "half gave no forecast for 72 of 144 observed values: not in its scores." in report.verdict
    assert "missing" in report.table()
    late = frame["ds"].max() - timedelta(hours=2)
    holes = frame.with_columns(pl.when(pl.col("ds") == late).then(None).otherwise("y").alias("y"))
    report = run(lambda h, f: truth(h), holes)
    assert "2 of 144 values to forecast were not observed and are not scored." in report.notes
    assert report.scores["n"].unique().to_list() == [142]


def test_constant_and_late_series_have_no_mase_but_an_mae(run, frame):
    flat = frame.filter(pl.col("unique_id") == "a").with_columns(
        pl.lit("flat").alias("unique_id"), pl.lit(3.0).alias("y")
    )
    report = run({"m": naive(ForecastSchema(), 6)}, pl.concat([frame, flat]))
    assert (
        "1 series is constant or too short before the first cutoff: MASE leaves them out, MAE does not."
        in report.notes
    )
    assert report.scores.filter(pl.col("model") == "m")["n"].item() == 12 * 3 * 6
    ended = frame.filter((pl.col("unique_id") == "a") | (pl.col("ds") < datetime(2024, 1, 3)))
    report = run({"m": naive(ForecastSchema(), 6)}, ended)
    assert "1 series has no value after any cutoff and no part in the scores." in report.notes


def test_reliability_and_actuals(run, frame, truth):
    report = run({"m": lambda h, f: truth(h)}, frame, origins=30, step=6)
    own = report.reliability.filter(pl.col("model") == "m").to_dicts()
    assert [row["nominal"] for row in own] == [0.8]
    assert own[0]["empirical"] == report.scores.filter(pl.col("model") == "m")["coverage_80"].item()
    assert own[0]["width"] == pytest.approx(2 * 1.2816)
    naive_levels = report.reliability.filter(pl.col("model") == "naive")["nominal"].to_list()
    assert naive_levels == [0.2, 0.4, 0.6, 0.8]
    assert report.actuals.height == 2 * (12 + 1 + 29 * 6 + 6)


def test_the_report_is_json_plain_and_prints(run, frame):
    report = run({"m": naive(ForecastSchema(), 6)}, frame)
    mapping = json.loads(json.dumps(report.to_mapping(), allow_nan=False))
    assert mapping["verdict"] == report.verdict
    assert len(mapping["scores"]) == 5
    lines = str(report).splitlines()
    assert lines[0].startswith("Backtest: 12 origins from 2024-01-")
    assert lines[2].split() == [
        "y",
        "MAE",
        "RMSE",
        "MASE",
        "sMAPE",
        "CRPS",
        "wQL",
        "cov80",
        "width80",
        "skill",
        "s/origin",
    ]
    width = len(lines[2])
    assert all(len(line) == width for line in lines[2:8])
    assert any(line.startswith("m *") for line in lines)


def test_error_texts(run, frame, task, truth):
    ours = naive(ForecastSchema(), 6)
    refit_every = {"refit": lambda h: ours, "refit_every": 0}
    cases = [
        (lambda: run(ours, frame, horizon=0), "horizon: got 0, want at least 1."),
        (lambda: run(ours, frame, origins=0), "origins: got 0, want at least 1."),
        (lambda: run(ours, frame, step=0), "step: got 0, want at least 1."),
        (lambda: run(ours, frame, refit={"x": lambda h: ours}), "refit: no forecaster is called 'x'."),
        (lambda: run(ours, frame, **refit_every), "refit_every: got 0, want at least 1."),
        (
            lambda: run({"mine": 3}, frame),
            "forecaster 'mine': got int, want a callable (history, future) -> frame.",
        ),
        (
            lambda: backtest(ours, frame),
            "horizon: got none, and no task to take it from: pass horizon= or task=.",
        ),
        (
            lambda: run({"naive": ours}, frame),
            "forecaster: the name 'naive' is a baseline's: choose another.",
        ),
        (
            lambda: run(None, frame),
            "forecaster: got None, want a callable (history, future) -> frame, or refit=.",
        ),
        (
            lambda: run(ours, frame, origins=[datetime(2024, 1, 3, 0, 30)]),
            "origins: 2024-01-03T00:30:00 is off the 1h grid.",
        ),
    ]
    for call, text in cases:
        with pytest.raises(ConfigError) as error:
            call()
        assert str(error.value) == text
    with pytest.raises(DataError) as error:
        run(ours, frame, origins=99)
    assert str(error.value) == (
        "data: 480 steps hold 40 origins 12 apart with 6 steps ahead, got origins=99: "
        "ask for fewer origins, a smaller step or horizon."
    )


def test_frames_that_do_not_fit_are_named(run, frame, truth):
    def case(change):
        with pytest.raises(DataError) as error:
            run({"mine": lambda h, f: change(truth(h))}, frame)
        return str(error.value)

    assert case(lambda f: f.drop("ds")) == (
        "forecaster 'mine': no column 'ds' (got unique_id, mean, q0.1, q0.5, q0.9)."
    )
    assert case(lambda f: f.select("unique_id", "ds")) == (
        "forecaster 'mine': no column 'mean' or 'q0.5' (got unique_id, ds): name the forecast."
    )
    assert case(lambda f: f.with_columns(pl.lit("zz").alias("unique_id"))) == (
        "forecaster 'mine': series 'zz' is not in the data."
    )
    assert case(lambda f: f.with_columns(pl.col("ds").dt.offset_by("-6h"))) == (
        "forecaster 'mine': no row lies in the 6 steps after the cutoff (got steps -5 to 0): "
        "forecast from the row after the newest one."
    )
    assert case(lambda f: f.with_columns(pl.col("ds").dt.offset_by("5m"))).startswith(
        "forecaster 'mine': time 2024-01-15T06:05:00 is off the 1h grid."
    )
    assert case(lambda f: pl.concat([f, f])) == (
        "forecaster 'mine': two rows answer the same series, time and target: give one row each."
    )


def test_the_convention_of_other_kits_is_read(run, frame, truth):
    other = lambda h, f: truth(h).select(  # noqa: E731
        "unique_id", "ds", pl.col("mean").alias("LSTM"),
        pl.col("q0.1").alias("LSTM-lo-80"), pl.col("q0.9").alias("LSTM-hi-80"),
    )  # fmt: skip
    report = run({"kit": other, "own": lambda h, f: truth(h)}, frame)
    kit, own = (report.scores.filter(pl.col("model") == name).row(0, named=True) for name in ("kit", "own"))
    assert kit["mae"] == pytest.approx(own["mae"])
    assert kit["coverage_80"] == own["coverage_80"]
    assert "By MASE: " in report.verdict


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_progress_bar_shows_only_for_long_work(run, frame, capsys):
    run(naive(ForecastSchema(), 6), frame, progress=True)
    assert capsys.readouterr().err == ""


def test_monthly_data_with_a_time_zone_free_grid(run, make_task):
    months = np.arange("2010-01", "2024-01", dtype="datetime64[M]").astype("datetime64[us]")
    y = 10 + np.sin(2 * np.pi * np.arange(len(months)) / 12)
    report = run(
        {"m": naive(ForecastSchema(), 3)}, pl.DataFrame({"ds": months, "y": y}), task=make_task(3), step=3
    )
    assert report.settings["frequency"] == "1mo"
    assert report.scores.filter(pl.col("model") == "seasonal_naive")["mae"].item() == pytest.approx(
        0, abs=1e-9
    )


def test_a_forecaster_that_brings_its_task_needs_no_more(frame, task):
    class Model:
        """As the lead's model looks from here: a task, and one pass for all origins."""

        def __init__(self):
            self.task = task

        def rolling(self, data, cutoffs):
            return naive(ForecastSchema(), 6).rolling(data, cutoffs)

    report = backtest(Model(), frame, origins=3, progress=False)
    assert report.models == ("statewise",)
    assert report.settings["horizon"] == 6


def test_times_with_a_zone_are_reported_in_utc(run, frame):
    aware = frame.with_columns(pl.col("ds").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"))
    report = run(naive(ForecastSchema(), 6), aware)
    plain = run(naive(ForecastSchema(), 6), frame)
    assert report.settings["cutoffs"][0] == plain.settings["cutoffs"][0] + " UTC"
    assert report.scores.drop("seconds").equals(plain.scores.drop("seconds"))


def test_origins_within_the_training_rows_are_noted(run, frame, task, truth):
    class Taught:
        def __init__(self, until):
            self.task, self.trained_until = task, until

        def __call__(self, history, future):
            return truth(history)

    cutoffs = run(Taught(None), frame).forecasts["cutoff"].unique().sort()
    until = cutoffs[3].isoformat()
    note = (
        f"{{}} of 12 origins lie before {until.replace('T', ' ')}, the end of the training rows: {{}} has "
        "seen those answers, so its scores flatter it. Train it on earlier rows (data.until)."
    )
    assert run(Taught(until), frame).notes == (note.format(3, "the model"),)
    assert f"Note: {note.format(3, 'the model')}" in str(run(Taught(until), frame))
    for quiet in (Taught(None), Taught(cutoffs[0].isoformat()), lambda h, f: truth(h)):
        assert run(quiet, frame).notes == ()
    both = run({"new": Taught(None), "old": Taught(until)}, frame)
    assert both.notes == (note.format(3, "old"),)
    assert run(Taught(until), frame, refit=lambda history: Taught(None)).notes == ()  # another is asked
