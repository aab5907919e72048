"""What a sweep tries, on which rows it is judged, and that it can be stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import statewise as sw
from statewise.comparing import worker
from statewise.comparing.candidates import candidates
from statewise.comparing.job import FAILED, FINISHED, TRIAL, Job, Result
from statewise.comparing.report import ComparisonReport
from statewise.comparing.sweep import Trials
from statewise.core.errors import ConfigError, MissingExtraError

Quick = Callable[..., ComparisonReport]


def searched(sweep: sw.Sweep, loss: Callable[[dict[str, Any]], float | None]) -> tuple[Trials, list[Any]]:
    """A sweep whose trials "train" by a formula."""
    tried: list[dict[str, Any]] = []
    source = Trials(
        sweep,
        candidates(["lstm"], {}),
        lambda c: Job(TRIAL, c.name, model=dict(c.model), train=dict(c.train)),
    )
    while (job := source.take()) is not None:
        assert source.take() is None  # one at a time
        settings = {**job.model, **job.train}
        tried.append({name: settings.get(name) for name in sweep.ranges})
        found = loss(settings)
        status = FINISHED if found is not None else FAILED
        source.give(Result(job, status, facts={} if found is None else {"validation": found}))
    return source, tried


def valley(settings: dict[str, Any]) -> float:
    return abs(np.log10(settings["learning_rate"]) + 2.5) + abs(settings["dropout"] - 0.2)


def test_the_valley_is_found_and_repeats() -> None:
    pytest.importorskip("optuna")
    sweep = sw.Sweep(trials=25, learning_rate=(1e-4, 1e-1), dropout=(0.0, 0.5))
    source, tried = searched(sweep, valley)
    chosen = source.chosen()["lstm"]
    assert chosen.validation < 0.25
    assert chosen.trials == len(tried) == 25
    assert tried[0]["dropout"] == 0.3  # the settings it came with go first
    assert searched(sweep, valley)[1] == tried
    assert all(1e-4 <= one["learning_rate"] <= 1e-1 and 0 <= one["dropout"] <= 0.5 for one in tried)
    assert sum(one["learning_rate"] < 1e-2 for one in tried) > 8  # a logarithmic scale


def test_choices_and_whole_numbers() -> None:
    pytest.importorskip("optuna")
    sweep = sw.Sweep(trials=8, learning_rate=(), hidden_size=[16, 32], num_layers=(1, 3))
    source, tried = searched(sweep, lambda settings: float(settings["hidden_size"]))
    assert {one["hidden_size"] for one in tried} == {16, 32}
    assert {one["num_layers"] for one in tried} <= {1, 2, 3}
    assert source.chosen()["lstm"].settings["hidden_size"] == 16


def test_failed_trials_are_passed_over() -> None:
    pytest.importorskip("optuna")
    fails = lambda settings: None if settings["dropout"] < 0.25 else settings["dropout"]  # noqa: E731
    source, _ = searched(sw.Sweep(trials=10, learning_rate=(), dropout=(0.0, 0.5)), fails)
    assert source.chosen()["lstm"].settings["dropout"] >= 0.25
    assert searched(sw.Sweep(trials=2), lambda settings: None)[0].chosen() == {}


def test_trials_never_see_the_rows_that_are_scored(
    quick: Quick, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    seen: list[tuple[Any, float]] = []
    fit = worker.fit

    def spying(task: Any, data: Any, **settings: Any) -> Any:
        seen.append((data["ds"].max(), settings["train"].learning_rate))
        return fit(task, data, **settings)

    monkeypatch.setattr(worker, "fit", spying)
    sweep = sw.Sweep(trials=3, learning_rate=(1e-3, 1e-1))
    report = quick(rows, sweep=sweep, resume=tmp_path)
    first = rows["ds"].max() - 6 * (rows["ds"][4] - rows["ds"][0])  # six origins, a horizon apart
    assert {last for last, _ in seen} == {first}
    rates = [rate for _, rate in seen]
    assert len(rates) == 4
    assert rates[3] in rates[:3]
    chosen = report.settings["sweep"]["lstm"]
    assert chosen["settings"]["learning_rate"] == rates[3] == report["lstm"].settings["learning_rate"]
    assert chosen["validation"] <= chosen["before"]
    assert any(note.startswith("Sweep of lstm: learning_rate ") for note in report.notes)
    again = quick(rows, sweep=sweep, resume=tmp_path)
    assert len(seen) == 4  # trials are resumed, too
    assert again["lstm"].loss == report["lstm"].loss


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"trials": 0}, "sweep.trials: got 0, want 1 or more."),
        ({"learning_rate": ()}, "sweep: got no range, want one or more, such as learning_rate=(1e-4, 1e-2)."),
        ({"dropout": (0.4, 0.1)}, "sweep.dropout: got (0.4, 0.1), want (low, high) or a list of choices."),
        ({"dropout": (1, 2, 3)}, "sweep.dropout: got (1, 2, 3), want (low, high) or a list of choices."),
        ({"others": {"batchsize": [4]}}, "sweep: no such setting 'batchsize'. Did you mean 'batch_size'?"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sw.Sweep(**settings)
    assert str(caught.value) == text


def test_terms_that_contradict_a_sweep(quick: Quick, rows: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"^parameters: a sweep over hidden_size chooses the sizes itself"):
        quick(rows, sweep=sw.Sweep(hidden_size=[4, 8]))
    with pytest.raises(ConfigError, match=r"^sweep: trials are judged on held-out rows, so validation must"):
        quick(rows, sweep=sw.Sweep(), validation=0.0)


def test_without_optuna(quick: Quick, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError) as caught:
        quick(rows, sweep=sw.Sweep())
    assert str(caught.value) == (
        "A sweep needs optuna, which is not installed: pip install 'statewise[sweep]'"
    )
