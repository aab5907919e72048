"""Whole comparisons on small rows with a planted answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import statewise as sw
from statewise.cells.table import CELLS
from statewise.comparing import run, worker
from statewise.comparing.report import ComparisonReport
from statewise.comparing.terms import Terms
from statewise.core.errors import ConfigError, TrainingError

Quick = Callable[..., ComparisonReport]


def by_name(report: ComparisonReport) -> dict[str, Any]:
    return {entry.name: entry for entry in report.entries}


def test_nothing_beats_the_seasonal_walk(quick: Quick, rows: pl.DataFrame) -> None:
    """The value of a day ago is the best forecast there is, so no cell may be recommended."""
    report = quick(rows, ["lstm", "rnn"], seeds=2, origins=10, baselines=("naive", "seasonal_naive"))
    assert report.recommended == "seasonal_naive"
    assert report.recommendation.startswith(
        "Use seasonal_naive, the best baseline: no cell beats it by more than luck. The best of 2, "
    )
    assert "so it does not pay (difference +" in report.recommendation
    entries = by_name(report)
    assert entries["lstm"].gap.mean > 0
    assert report.fit_settings() == {}
    with pytest.raises(ConfigError) as caught:
        report.fit(rows)
    assert str(caught.value) == (
        "seasonal_naive: a baseline is a rule and no model, so there is nothing to fit."
    )
    assert report.frame()["name"].to_list() == list(entries)
    sizes = [entries[name].parameters for name in ("lstm", "rnn")]
    assert all(abs(size - 1500) < 400 for size in sizes)


@pytest.fixture(scope="module")
def won(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trainings of the next two tests are kept, so that they are done once."""
    return tmp_path_factory.mktemp("won")


def product_of_signs(quick: Quick, rows: pl.DataFrame, folder: Path, **limits: str) -> ComparisonReport:
    """Only memory of two signs tells the next value: baselines and the linear readout cannot."""
    return quick(
        rows,
        ["lstm"],
        seeds=2,
        origins=24,
        task=sw.Forecast(horizon=1, observed=["x"], lags=4),
        model={"dropout": 0.0},
        train=sw.TrainConfig(steps=100, batch_size=8, learning_rate=0.02, validate_every=50),
        resume=folder,
        **limits,
    )


def test_a_cell_that_wins_is_recommended(quick: Quick, driven_rows: pl.DataFrame, won: Path) -> None:
    report = product_of_signs(quick, driven_rows, won)
    assert report.recommended == "lstm"
    entry = report["lstm"]
    assert entry.p < 0.01
    assert entry.gap.percent < -50
    assert report.recommendation.startswith("Use lstm (hidden size ")
    assert "paired over origins, 2 seeds; p " in report.recommendation
    settings = report.fit_settings()
    assert settings["cell"] == "lstm"
    assert settings["dropout"] == 0.0
    model = report.fit(driven_rows.tail(200), progress=False)
    assert (model.backbone.cell, model.backbone.hidden_size) == ("lstm", settings["hidden_size"])
    assert model.training["config"]["learning_rate"] == 0.02


def test_a_winner_over_the_limits_is_left_out(quick: Quick, driven_rows: pl.DataFrame, won: Path) -> None:
    report = product_of_signs(quick, driven_rows, won, latency="1 ns", memory="1 kB")
    assert report.recommended == report.settings["rival"]
    step, held = report["lstm"].over_limits
    assert " times the latency limit of 1 ns" in step
    assert " times the memory limit of 1 kB" in held
    assert "no cell keeps the limits." in report.recommendation
    assert "It would be the best without the limit." in report.recommendation
    assert "over the limit" in report.table()


def test_finished_runs_are_not_trained_again(
    quick: Quick, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    fit = worker.fit

    def counting(*args: Any, **settings: Any) -> Any:
        trained.append(settings["train"].seed)
        return fit(*args, **settings)

    monkeypatch.setattr(worker, "fit", counting)
    first = quick(rows, resume=tmp_path)
    assert trained == [0]
    again = quick(rows, resume=tmp_path)
    assert trained == [0]
    assert again["lstm"].loss == first["lstm"].loss
    quick(rows, resume=tmp_path, seeds=2)
    assert trained == [0, 1]
    quick(rows, resume=tmp_path, model={"dropout": 0.0})
    assert trained == [0, 1, 0]


def test_an_interrupt_leaves_what_is_finished(
    quick: Quick, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, calls = worker.fit, []

    def interrupted(*args: Any, **settings: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **settings)

    monkeypatch.setattr(worker, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(rows, seeds=2, resume=tmp_path)
    report = quick(rows, seeds=2, resume=tmp_path)
    assert len(calls) == 3
    assert report["lstm"].seeds == 2


def test_other_data_or_settings_in_the_folder_are_refused(
    quick: Quick, rows: pl.DataFrame, tmp_path: Path
) -> None:
    quick(rows, resume=tmp_path)
    with pytest.raises(ConfigError) as caught:
        quick(rows, resume=tmp_path, validation=0.2)
    assert str(caught.value) == (
        f"resume: {tmp_path} holds another comparison (validation: 0.1 there, 0.2 here): "
        "choose another folder, or delete that one."
    )
    other = rows.with_columns(pl.when(pl.arange(pl.len()) == 7).then(99.0).otherwise("y").alias("y"))
    with pytest.raises(ConfigError, match=r"holds another comparison \(data: "):
        quick(other, resume=tmp_path)


def test_a_cell_that_fails_is_reported_and_the_others_go_on(
    quick: Quick, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(torch.nn.Module):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise ValueError("no such matrix")

    monkeypatch.setitem(CELLS, "broken", replaced_make(CELLS["lstm"], Broken))
    fit = worker.fit

    def unstable(*args: Any, **settings: Any) -> Any:
        if settings["cell"] == "rnn":
            raise TrainingError("loss is NaN at step 3.")
        return fit(*args, **settings)

    monkeypatch.setattr(worker, "fit", unstable)
    report = quick(rows, ["broken", "rnn", "lstm"])
    entries = by_name(report)
    assert (entries["broken"].status, entries["broken"].message) == ("failed", "ValueError: no such matrix")
    assert (entries["rnn"].status, entries["rnn"].message) == ("failed", "loss is NaN at step 3.")
    assert entries["lstm"].scored
    assert "rnn failed: loss is NaN at step 3." in report.recommendation
    assert "broken failed: ValueError: no such matrix." in report.recommendation
    json.dumps(report.to_mapping(), allow_nan=False)


def replaced_make(entry: Any, make: Any) -> Any:
    """An entry of the table that builds something else."""
    return entry._replace(make=make) if hasattr(entry, "_replace") else replace(entry, make=make)


def test_what_the_budget_did_not_reach_is_not_dropped(
    quick: Quick, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    fit = worker.fit

    def slow(*args: Any, **settings: Any) -> Any:
        clock[0] += 100.0
        return fit(*args, **settings)

    monkeypatch.setattr(worker, "fit", slow)
    monkeypatch.setattr("statewise.comparing.pool.time.monotonic", lambda: run.time.perf_counter() + clock[0])
    monkeypatch.setattr("statewise.comparing.run.time.monotonic", lambda: run.time.perf_counter() + clock[0])
    report = quick(rows, ["lstm", "rnn"], budget="150 s", seeds=2)
    lstm, rnn = report["lstm"], report["rnn"]
    assert (lstm.status, lstm.seeds) == ("not finished", 1)
    assert lstm.message == "the budget was spent; 1 of 2 runs done"
    assert rnn.seeds == 1
    assert "lstm was not finished: the budget was spent; 1 of 2 runs done." in report.recommendation


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the budget that does not depend on how busy the machine is."""
    monkeypatch.setattr(Terms, "training_seconds", lambda terms, jobs: 0.2)


@pytest.mark.usefixtures("short_trainings")
def test_a_training_cut_short_is_scored_and_named(quick: Quick, rows: pl.DataFrame) -> None:
    report = quick(rows, train=sw.TrainConfig(steps=100_000, batch_size=4, validate_every=0))
    entry = report["lstm"]
    assert (entry.status, entry.scored) == ("cut short", True)
    assert entry.train_steps < 100_000
    assert "lstm was cut short: training stopped by the clock after " in report.recommendation


@pytest.mark.usefixtures("short_trainings")
def test_equal_times(quick: Quick, rows: pl.DataFrame) -> None:
    terms = {"by": "time", "budget": "1 h", "parameters": None, "validation": 0.0}
    report = quick(rows, ["lstm", "rnn"], model={"hidden_size": 8}, **terms)
    lstm, rnn = report["lstm"], report["rnn"]
    assert lstm.status == rnn.status == "finished"
    assert lstm.settings["hidden_size"] == rnn.settings["hidden_size"] == 8
    assert min(lstm.train_steps, rnn.train_steps) > 2  # those of `train` do not count
    assert "2 cells, 200 ms of training each, " in report.table()


def test_how_a_budget_is_shared() -> None:
    settings = dict.fromkeys(("limits", "parameters", "classical", "sweep", "resume"))
    terms = Terms(
        budget=100.0, seeds=1, by="parameters", train=sw.TrainConfig(steps=1), validation=0.1, folds=1,
        baselines=(), processes=2, progress=False, **settings,
    )  # fmt: skip
    assert terms.training_seconds(10) == pytest.approx(0.7 * 100 * 2 / 10)
    assert terms.patience(10) == pytest.approx(2 * 100 * 2 / 10)
    assert terms.training_seconds(1) == pytest.approx(70)  # one job cannot use two processes
    own = replace(terms, train=sw.TrainConfig(steps=1, time_budget=3))
    assert own.training_seconds(10) == 3
    free = replace(terms, budget=None)
    assert (free.training_seconds(10), free.patience(10)) == (0.0, math.inf)


def test_folds_train_anew_and_join_their_origins(quick: Quick, rows: pl.DataFrame) -> None:
    report = quick(rows, folds=2)
    entry = report["lstm"]
    assert (entry.status, entry.seeds) == ("finished", 1)
    assert report["linear"].scored
    assert report.settings["folds"] == 2


def test_the_linear_readout_is_a_model_too(quick: Quick, rows: pl.DataFrame, tmp_path: Path) -> None:
    model = quick(rows, budget="1 us").fit(rows, "linear")
    again = sw.load(model.save(tmp_path / "linear.sw", onnx=False))
    assert again.predict(rows).equals(model.predict(rows))
    assert model.trained_until == "2024-01-16T23:00:00"


def test_the_report_in_every_form(quick: Quick, rows: pl.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = quick(rows, ["lstm", "rnn"], seeds=2, latency="1 s")
    saved = json.loads(report.save(tmp_path / "report.json").read_text(encoding="utf-8"))
    assert saved["recommended"] == report.recommended
    assert [entry["name"] for entry in saved["entries"]] == [entry.name for entry in report.entries]
    assert str(report).endswith(report.recommendation)
    assert f"| {report.entries[0].name}" in report.to_markdown()
    assert report.plot(tmp_path / "deep" / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(ConfigError, match=r"^entry: no such entry 'lsm'\. Did you mean 'lstm'\?$"):
        report["lsm"]


def test_programs_of_their_own_give_what_this_process_gives(
    quick: Quick, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what fails there is told here: the other program does not know the cell."""
    monkeypatch.setitem(CELLS, "mine", CELLS["rnn"])
    here = quick(rows, ["lstm"], baselines=())
    apart = quick(rows, ["lstm", "mine"], processes=2, baselines=())
    assert apart["lstm"].loss.mean == pytest.approx(here["lstm"].loss.mean, rel=1e-6)
    assert apart["lstm"].peak_bytes is not None
    assert apart["mine"].status == "failed"
    assert apart["mine"].message.startswith("cell: no such cell 'mine'.")


def test_a_run_that_takes_too_long_is_stopped(
    quick: Quick, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Terms, "patience", lambda terms, jobs: 0.1)
    entry = quick(rows, ["lstm"], processes=1, baselines=("naive",))["lstm"]
    assert entry.status == "not finished"
    assert entry.message.startswith("stopped after ")
    assert not entry.scored


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seeds": 0}, "seeds: got 0, want 1 or more."),
        ({"by": "size"}, "by: no such by 'size'. Known: parameters, time."),
        ({"processes": -1}, "processes: got -1, want 0 (this process) or more."),
        ({"latency": "1 m"}, 'latency: got "1 m", want a duration above zero such as "5 min" '),
        ({"memory": "2 M"}, 'memory: got "2 M", want a size above zero such as "50 MB" '),
        (
            {"by": "time", "parameters": None},
            "budget: got None, want a time to share, such as '5 min', with ",
        ),
        (
            {"by": "time", "budget": "1 s"},
            "parameters: equal sizes go with by='parameters', got by='time'.",
        ),
        ({"cells": {"naive": {"cell": "lstm"}}}, "cells: the name 'naive' is a baseline's: choose another."),
    ],
)
def test_what_is_refused(quick: Quick, rows: pl.DataFrame, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quick(rows, **changes)
    assert str(caught.value).startswith(text)
