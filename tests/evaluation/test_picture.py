"""The picture is drawn, leaves the user's matplotlib alone, and names what is missing."""

from __future__ import annotations

import os
import subprocess
import sys

import polars as pl
import pytest

from statewise.core.errors import ConfigError, MissingExtraError
from statewise.evaluation.backtest import backtest
from statewise.evaluation.baselines import naive
from statewise.rows.schema import ForecastSchema


@pytest.fixture
def report(frame, task, truth):
    models = {"wave": lambda h, f: truth(h), "walk": naive(ForecastSchema(), 6)}
    return backtest(models, frame, task=task, origins=10, progress=False)


def test_a_picture_of_every_kind_of_backtest(report, frame, make_task, tmp_path):
    pytest.importorskip("matplotlib")
    path = report.picture(tmp_path / "deep" / "picture.png", series="b")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 30_000
    alone = backtest(
        {"m": lambda h, f: naive(ForecastSchema(), 1)(h).select("unique_id", "ds", "mean")},
        frame, horizon=1, origins=3, baselines=(), progress=False,
    )  # fmt: skip
    assert alone.picture(tmp_path / "points.png").exists()
    two = ForecastSchema(target=("y", "z"))
    frame = frame.with_columns((pl.col("y") * 100).alias("z"))
    several = backtest({"m": naive(two, 6)}, frame, task=make_task(6, two), origins=3, progress=False)
    assert several.picture(tmp_path / "z.svg", target="z").read_text(encoding="utf-8").startswith("<?xml")


def test_error_texts(report, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as error:
        report.picture(tmp_path / "p.png", series="c")
    assert str(error.value) == "series: no such series 'c' in the backtest. Known: a, b."
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError) as error:
        report.picture(tmp_path / "p.png")
    assert str(error.value) == (
        "A picture needs matplotlib, which is not installed: pip install 'statewise[plot]'"
    )


def test_importing_evaluation_loads_no_plotting_and_no_torch():
    code = (
        "import sys, statewise.evaluation.backtest, statewise.evaluation.leak\n"
        "assert not {'torch', 'matplotlib', 'pandas', 'statsforecast', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_pyplot_is_not_touched(report, tmp_path):
    pytest.importorskip("matplotlib")
    already = "matplotlib.pyplot" in sys.modules
    report.picture(tmp_path / "p.png")
    assert ("matplotlib.pyplot" in sys.modules) == already
