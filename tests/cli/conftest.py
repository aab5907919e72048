"""A small experiment, fitted once by `statewise fit`, for the verbs that need a model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from statewise.cli.main import main

START = datetime(2024, 1, 1)
HOURS = 240
UNTIL = START + timedelta(hours=191)

EXPERIMENT = """
[data]
path = "rows.csv"
until = "2024-01-08T23:00:00"

[task]
horizon = 4
known = ["holiday"]
observed = ["humidity"]
lags = 24

[model]
cell = "gru"
hidden_size = 8
dropout = 0.0

[train]
steps = 3
batch_size = 4
validate_every = 2
"""


class Workplace(NamedTuple):
    """Files that a user would have: rows, rows with what is known ahead, an experiment, its model."""

    folder: Path
    rows: Path
    history: Path
    future: Path
    experiment: Path
    model: Path


def small_rows() -> pl.DataFrame:
    """Two hourly series with a daily season."""
    rng, parts = np.random.default_rng(0), []
    for name in ("a", "b"):
        hour = np.arange(HOURS)
        parts.append(
            pl.DataFrame(
                {
                    "unique_id": [name] * HOURS,
                    "ds": [START + timedelta(hours=int(h)) for h in hour],
                    "y": 10 + 3 * np.sin(2 * np.pi * hour / 24) + rng.normal(size=HOURS),
                    "humidity": rng.normal(50, 10, HOURS),
                    "holiday": (hour // 24 % 7 == 6).astype(int),
                }
            )
        )
    return pl.concat(parts)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The files, and the model that `statewise fit` made from them."""
    folder = tmp_path_factory.mktemp("work")
    names = ("rows.csv", "history.parquet", "future.csv", "experiment.toml", "model.sw")
    place = Workplace(folder, *(folder / name for name in names))
    rows = small_rows()
    rows.write_csv(place.rows)
    rows.filter(pl.col("ds") <= UNTIL).write_parquet(place.history)
    rows.filter(pl.col("ds") > UNTIL).select("unique_id", "ds", "holiday").write_csv(place.future)
    place.experiment.write_text(EXPERIMENT, encoding="utf-8")
    assert main(["fit", str(place.experiment), "--no-onnx", "--out", str(place.model)]) == 0
    return place


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a verb that must fail; gives what it says after "statewise: "."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        lines = said.err.splitlines()
        assert all(line.startswith("statewise: ") for line in lines)
        return "\n".join(line.removeprefix("statewise: ") for line in lines)

    return run
