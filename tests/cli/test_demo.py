"""`statewise demo` on fewer rows and steps: everything it promises lies in the folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from statewise.cli import demo
from statewise.cli.main import main

pytest.importorskip("matplotlib")


def test_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = demo._rows

    def last_weeks() -> tuple[pl.DataFrame, pl.DataFrame]:
        rows, train = whole()
        recent = pl.col("ds") > train["ds"].max() - timedelta(weeks=6)
        return rows.filter(recent), train.filter(recent)

    monkeypatch.setattr(demo, "_rows", last_weeks)
    monkeypatch.setattr(demo, "QUICK", demo.Size(steps=2, origins=3, explained=1))
    monkeypatch.setattr("sys.argv", ["/usr/bin/statewise"])
    folder = tmp_path / "out"
    assert main(["demo", "--quick", "--out", str(folder)]) == 0
    said = capsys.readouterr()
    assert {path.name for path in folder.iterdir()} == {
        "departures.png",
        "delay.png",
        "explanation.png",
        "report.json",
        "flights.sw",
        "rows.jsonl",
    }
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"] in said.out
    assert "of JFK through the saved bundle" in said.out
    assert " % of " in said.out.split("delay of JFK")[1]
    assert f"statewise stream {shlex.quote(str(folder))}/flights.sw < " in said.out
    first = json.loads((folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert len(first["future"]["scheduled"]) == 24
    assert said.err == ""  # no bars where no terminal is


def test_a_live_forecast_that_differs_is_told() -> None:
    live = [{"ds": "t", "target": "y", "mean": 1.0, "q0.5": 2.0}]
    assert demo._difference(live, [{**live[0], "unique_id": "a"}]) == 0
    assert demo._difference(live, [{**live[0], "q0.5": 4.0}]) == 0.5


def test_a_file_in_the_way(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    text = f"{tmp_path}/out: a file is in the way; choose another folder with --out."
    assert refused("demo", "--out", tmp_path / "out") == text
