"""fit → predict → backtest → explain → stream at the prompt, on one small model."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from statewise.cli import arguments
from statewise.cli.main import main

Refused = Callable[..., str]
Say = pytest.CaptureFixture[str]


def test_predict_writes_csv_to_standard_output(work: Any, capsys: Say) -> None:
    assert main(["predict", str(work.model), str(work.rows)]) == 0
    said = capsys.readouterr()
    frame = pl.read_csv(io.StringIO(said.out))
    assert frame.columns[:4] == ["unique_id", "ds", "mean", "q0.1"]
    assert len(frame) == 2 * 4
    assert said.err == (
        "note: holiday: not given for the times ahead, so taken as missing there; --future FILE gives them.\n"
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predict_with_future_and_levels_to_a_file(
    work: Any, tmp_path: Path, capsys: Say, suffix: str
) -> None:
    out = tmp_path / f"forecast{suffix}"
    levels = ["--level", "80", "--level", "60"]
    files = [str(work.history), "--future", str(work.future), "--out", str(out)]
    assert main(["predict", str(work.model), *files, *levels]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"{out}: 8 rows\n", "")
    frame = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert frame.columns[-4:] == ["mean-lo-80", "mean-hi-80", "mean-lo-60", "mean-hi-60"]
    assert (frame["mean-lo-80"] <= frame["mean-hi-80"]).all()


def test_backtest_writes_table_scores_and_picture(work: Any, tmp_path: Path, capsys: Say) -> None:
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "report.json", tmp_path / "fan.png"
    words = ["--origins", "5", "--out", str(out), "--picture", str(picture), "--series", "b"]
    assert main(["backtest", str(work.model), str(work.rows), *words]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Backtest: 5 origins from ")
    assert "statewise *" in said.out
    assert said.out.endswith(f"\n{out}\n\n{picture}\n")
    assert said.err == ""
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["verdict"] in said.out
    assert report["settings"]["origins"] == 5
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_backtest_says_when_the_model_has_seen_the_answers(work: Any, capsys: Say) -> None:
    assert main(["backtest", str(work.model), str(work.rows), "--origins", "20"]) == 0
    # 48 hours after the training rows hold 12 windows of 4 steps; the other 8 begin within them.
    assert (
        "\nNote: 8 of 20 origins lie before 2024-01-08 23:00:00, the end of the training rows: the model "
        "has seen those answers, so its scores flatter it. Train it on earlier rows (data.until).\n"
    ) in capsys.readouterr().out


def test_explain_prints_table_and_sentence(work: Any, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "shares.json"
    words = ["--future", str(work.future), "--series", "b", "--out", str(out), "--group", "air=humidity"]
    assert main(["explain", str(work.model), str(work.history), *words]) == 0
    said = capsys.readouterr().out
    plain = json.loads(out.read_text(encoding="utf-8"))
    assert plain["series_id"] == "b"
    assert plain["sentence"] in said
    assert "air" in plain["shares"]
    assert sum(plain["shares"].values()) == pytest.approx(1)


def test_stream_answers_the_rows_of_the_same_model(
    work: Any, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.read_csv(work.rows).filter(pl.col("unique_id") == "a").head(30).to_dicts()
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["stream", str(work.model)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(line["forecast"]) for line in lines] == [4] * 30
    assert lines[-1]["steps"] == 30


MISTAKES = (
    ("predict none.sw {rows}", "none.sw: no such file."),
    ("predict {rows} {rows}", "rows.csv: not a Statewise bundle (not a zip file)."),
    ("predict {model} none.csv", "none.csv: no such file."),
    (
        "predict {model} nyc_flight",
        "nyc_flight: no such file, and no such data set. Did you mean 'nyc_flights'?",
    ),
    (
        "predict {model} {rows} --out f.xlsx",
        "f.xlsx: cannot write '.xlsx' files, want .csv or .parquet.",
    ),
    ("fit {experiment} --checkpoint {folder}", "{folder}: a folder, want the name of a file to write."),
    ("backtest {model} {rows} --target load", "target: no such target 'load'. Known: y."),
    (
        "backtest {model} {rows} --picture f.jpg",
        "f.jpg: cannot write '.jpg' files, want .png, .svg or .pdf.",
    ),
    (
        "backtest {model} {rows} --compare MSTLL",
        "compare: no such model 'MSTLL'. Did you mean 'MSTL'?",
    ),
    ("explain {model} {rows} --series c", "series: no such series 'c'. Known: a, b."),
    (
        "explain {model} {rows} --group air",
        "--group: got 'air', want NAME=COLUMN,COLUMN, such as weather=temp,humid.",
    ),
)


@pytest.mark.parametrize(("line", "text"), MISTAKES)
def test_mistakes(work: Any, refused: Refused, line: str, text: str) -> None:
    names = work._asdict()
    assert refused(*(word.format(**names) for word in line.split())) == text.format(**names)


def test_a_missing_extra_is_said_before_the_work(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    text = "A picture needs matplotlib, which is not installed: pip install 'statewise[plot]'"
    assert refused("backtest", "none.sw", "none.csv", "--picture", tmp_path / "f.png") == text
    assert refused("demo", "--out", tmp_path / "demo") == text
    assert not (tmp_path / "demo").exists()
