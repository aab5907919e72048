"""`statewise fit`: what an experiment file may say, and what is kept of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from statewise.bundle import read_bundle
from statewise.cli.fit import model_settings
from statewise.cli.main import main
from statewise.cli.training_rows import DataSettings, rows_until
from statewise.core.errors import ConfigError, StreamError
from statewise.models.loading import load
from statewise.training.fit import fit

Refused = Callable[..., str]


def test_the_effective_experiment_is_in_the_bundle(work: Any) -> None:
    record = read_bundle(work.model).config["training"]
    assert record["until"] == "2024-01-08T23:00:00"
    assert record["rows"] == 2 * 192
    experiment = record["experiment"]
    assert experiment["data"]["path"] == "rows.csv"
    assert experiment["task"]["known"] == ["holiday"]
    assert experiment["task"]["quantiles"][0] == 0.1  # a default
    assert experiment["model"]["hidden_size"] == 8
    assert experiment["model"]["validation"] == 0.1  # a default
    assert (experiment["train"]["steps"], experiment["train"]["seed"]) == (3, 0)


def test_settings_at_the_prompt_win(work: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "other.sw"
    words = ["train.steps=1", "model.cell=rnn", "--no-onnx", "--out", str(out)]
    assert main(["fit", str(work.experiment), *words]) == 0
    assert read_bundle(out).config["backbone"]["cell"] == "rnn"
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "y, 4 steps of 1h ahead: rnn, 1 × 8, 384 rows of 2 series"
    assert lines[1].startswith("1 steps in ")
    assert lines[-1] == f"next: statewise backtest {out} DATA"
    assert "fit:" not in said.err  # no bar where no terminal is


def test_options_of_a_cell_at_the_prompt(work: Any, tmp_path: Path) -> None:
    out = tmp_path / "mamba.sw"
    words = [
        "train.steps=1",
        "model.cell=mamba",
        "model.options.state_size=3",
        "--no-onnx",
        "--out",
        str(out),
    ]
    assert main(["fit", str(work.experiment), *words]) == 0
    assert read_bundle(out).config["backbone"]["options"] == {"state_size": 3}
    assert read_bundle(out).config["training"]["experiment"]["model"]["options"] == {"state_size": 3}
    assert load(out).backbone.options == {"state_size": 3}


def test_a_checkpoint_goes_on(work: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--no-onnx", "--out", str(tmp_path / "m.sw"), "--checkpoint", str(tmp_path / "run.ckpt")]
    assert main(["fit", str(work.experiment), *words]) == 0
    assert (tmp_path / "run.ckpt").exists()
    first = (tmp_path / "m.sw").read_bytes()
    assert main(["fit", str(work.experiment), *words]) == 0  # finished: nothing is left to train
    again = read_bundle(tmp_path / "m.sw").weights
    assert first
    assert all((again[name] == old).all() for name, old in read_bundle(work.model).weights.items())


@pytest.mark.parametrize("told", ["flag", "setting"])
def test_a_training_starts_from_a_trained_model(work: Any, tmp_path: Path, told: str) -> None:
    beside = work.experiment.parent / work.model.name  # seen from the experiment's folder
    if not beside.exists():
        beside.write_bytes(work.model.read_bytes())
    start = ["--start", str(work.model)] if told == "flag" else [f"model.start={beside.name}"]
    out = tmp_path / "more.sw"
    assert main(["fit", str(work.experiment), "train.steps=1", *start, "--no-onnx", "--out", str(out)]) == 0
    record = read_bundle(out).config["training"]
    assert record["start"]["left"] == []
    assert record["experiment"]["model"]["start"] == work.model.name


def test_model_settings_are_those_of_fit() -> None:
    parameters = inspect.signature(fit).parameters
    settings = model_settings()()
    for option in fields(settings):
        assert getattr(settings, option.name) == parameters[option.name].default
    assert {"cell", "hidden_size", "num_layers", "dropout", "validation"} <= set(vars(settings))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("trian.steps=3", "{file}: no such section 'trian'. Did you mean 'train'?"),
        ("data.pth=x.csv", "{file}: data: no such setting 'pth'. Did you mean 'path'?"),
        ("task.horizn=3", "{file}: task: no such setting 'horizn'. Did you mean 'horizon'?"),
        ("model.cel=gru", "{file}: model: no such setting 'cel'. Did you mean 'cell'?"),
        ("model.cell=gruu", "cell: no such cell 'gruu'. Did you mean 'gru'?"),
        ("model.hidden_size=wide", "{file}: model.hidden_size: got 'wide', want a whole number."),
        ("model.options=3", "{file}: model.options: got 3, want a table."),
        ("model.options.windw=3", "options: no option 'windw' of 'gru'."),
        ("train.stps=3", "{file}: train: no such setting 'stps'. Did you mean 'steps'?"),
        ("data.path=none.csv", "{folder}/none.csv: no such file."),
        ("data.path=rows", "{folder}/rows: no such file, and no such data set."),
        ("data.dataset=etth1", "data: got both path and dataset, want one (data.dataset= takes it out)."),
        ("data.path=", 'data: got neither path nor dataset, want one, such as path = "rows.parquet".'),
        ("data.every=1h", "data.every: is for a dataset; average the rows of a file beforehand."),
        ("data.until=soon", "data.until: got 'soon', want a time such as '2024-05-01T13:00:00'."),
        ("data.until=2023-12-31", "data.until: no row is at or before 2023-12-31."),
        (
            "task.target=load",
            "target: the frame has no column 'load'. Known: ds, holiday, humidity, unique_id, y.",
        ),
    ],
)
def test_mistakes_in_the_experiment(work: Any, refused: Refused, setting: str, text: str) -> None:
    said = refused("fit", work.experiment, setting, "--out", work.folder / "no.sw")
    assert said.startswith(text.format(file=work.experiment, folder=work.folder))
    assert not (work.folder / "no.sw").exists()


def test_where_to_write_is_checked_first(work: Any, refused: Refused, tmp_path: Path) -> None:
    for out, text in (
        (tmp_path / "deep" / "m.sw", f"{tmp_path}/deep: no such folder, so m.sw cannot be written there."),
        (tmp_path / "m.pkl", f"{tmp_path}/m.pkl: cannot write '.pkl' files, want .sw."),
    ):
        assert refused("fit", work.experiment, "--out", out) == text


def test_an_empty_text_leaves_a_setting_out() -> None:
    assert DataSettings(path="", dataset="etth1", until="") == DataSettings(dataset="etth1")
    assert DataSettings(path="a.csv", until=date(2024, 1, 2)).until == "2024-01-02"
    with pytest.raises(ConfigError):
        DataSettings()


@pytest.mark.parametrize(
    ("until", "count"),
    [("2024-01-01T05:00:00", 6), ("2024-01-01", 24), ("2024-01-01 05:30", 6), ("2030-01-01", 48)],
)
def test_until_keeps_the_rows_up_to_a_time_or_a_day(until: str, count: int) -> None:
    times = [datetime(2024, 1, 1) + timedelta(hours=h) for h in range(48)]
    naive = pl.DataFrame({"ds": times})
    aware = naive.with_columns(pl.col("ds").dt.replace_time_zone("America/New_York"))
    for frame in (naive, aware, aware.to_arrow()):
        assert len(rows_until(frame, "ds", until)) == count
    with pytest.raises(StreamError, match=r"^data\.until: got .* with a time zone"):
        rows_until(naive, "ds", "2024-01-01T05:00:00+00:00")
    assert len(rows_until(aware, "ds", "2024-01-01T05:00:00+00:00")) == 1
