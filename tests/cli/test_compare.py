"""`statewise compare` at the prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from statewise.cli.main import main

Refused = Callable[..., str]
Say = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of one hourly series."""
    rng, hour = np.random.default_rng(0), np.arange(240)
    columns = {
        "ds": [datetime(2024, 1, 1) + timedelta(hours=int(h)) for h in hour],
        "y": 10 + 3 * np.sin(2 * np.pi * hour / 24) + rng.normal(size=240),
        "humidity": rng.normal(50, 10, 240),
        "holiday": (hour // 24 % 7 == 6).astype(int),
    }
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    pl.DataFrame(columns).write_csv(path)
    return path


@pytest.fixture
def words(rows: Path, tmp_path: Path) -> list[str]:
    """A comparison of two steps."""
    text = "--horizon 4 --observed humidity --known holiday --cells lstm,rnn --parameters 2500 --steps 2"
    more = ["--seeds", "1", "--origins", "6", "--processes", "0", "--classical", ","]
    return ["compare", str(rows), *text.split(), *more, "--out", str(tmp_path / "out")]


def test_table_recommendation_and_files(words: list[str], tmp_path: Path, capsys: Say) -> None:
    pytest.importorskip("matplotlib")
    assert main([*words, "--latency", "1 s", "--memory", "1 MB"]) == 0
    said = capsys.readouterr().out
    out = tmp_path / "out"
    assert said.startswith("2 cells, about 2,500 parameters each, 1 seed. 6 origins from 2024-01-09 23:00:00")
    assert "\nUse " in said
    assert said.endswith(f"\n{out / 'report.json'}, {out / 'report.md'}, {out / 'picture.png'}\n")
    assert all((out / name).stat().st_size > 500 for name in ("report.json", "report.md", "picture.png"))
    assert main([*words, "--json"]) == 0  # goes on from there: the runs are all done
    report = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in report["entries"]} >= {"lstm", "rnn", "linear", "naive"}
    assert report["settings"]["latency"] is None


def test_a_sweep(words: list[str], capsys: Say) -> None:
    pytest.importorskip("optuna")
    words = [*words, "--cells", "rnn", "--trials", "2"]
    assert main([*words, "--sweep", "dropout=0.0:0.4", "batch_size=2,4"]) == 0
    assert "Note: Sweep of rnn: dropout " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--cells", "grru"], "cell: no such cell 'grru'. Did you mean 'gru'?"),
        (["--processes", "-1"], "processes: got -1, want 0 (this process) or more."),
        (["--sweep", "dropout"], "--sweep: got 'dropout', want NAME=LOW:HIGH or NAME=VALUE,VALUE."),
        (["--sweep", "drop_out=0:1"], "sweep: no such setting 'drop_out'. Did you mean 'dropout'?"),
        (["--target", "yy"], "target: the frame has no column 'yy'. Did you mean 'y'?"),
    ],
)
def test_what_is_refused(words: list[str], more: list[str], text: str, refused: Refused) -> None:
    assert refused(*words, *more) == text


def test_a_budget_that_is_no_time(words: list[str], refused: Refused) -> None:
    assert refused(*words, "--budget", "5 days") == (
        'budget: got "5 days", want a duration above zero such as "5 min" (units: ns, us, ms, s, min, h).'
    )


def test_an_interrupt_says_where_the_runs_are(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    from statewise.comparing import worker

    def interrupted(*args: Any, **settings: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "fit", interrupted)
    assert main(words) == 130
    runs = tmp_path / "out" / "runs"
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"note: finished runs are kept in {runs}: the same command goes on from there.",
        "statewise: interrupted.",
    ]
