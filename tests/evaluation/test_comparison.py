"""The adapter to statsforecast: its numbers are its own, holes are filled, names are checked."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import ConfigError, MissingExtraError
from statewise.evaluation.backtest import backtest
from statewise.evaluation.baselines import naive
from statewise.evaluation.comparison import Classical, classical, interpolated
from statewise.rows.schema import ForecastSchema

SCHEMA = ForecastSchema()
pytestmark = pytest.mark.filterwarnings("ignore")


def test_interpolation_looks_back_only():
    nan = np.nan
    assert interpolated(np.array([nan, 1, nan, 3, nan])).tolist() == [1, 2, 3, 3]
    assert len(interpolated(np.full(3, nan))) == 0


def test_error_texts(monkeypatch):
    with pytest.raises(ConfigError) as error:
        classical("AutoETA", SCHEMA, 3, (24,))
    assert str(error.value) == "compare: no such model 'AutoETA'. Did you mean 'AutoETS'?"
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(MissingExtraError) as error:
        classical("MSTL", SCHEMA, 3, (24,))
    assert str(error.value) == (
        "compare 'MSTL' needs statsforecast, which is not installed: pip install 'statewise[compare]'"
    )


@pytest.mark.parametrize("refit", [False, True])
def test_forward_and_refit_give_the_kits_own_numbers(make_frame, refit):
    models = pytest.importorskip("statsforecast.models")
    frame = make_frame(24 * 8, ("a",))
    values = frame["y"].to_numpy()
    forecaster = classical(Classical("AutoETS", refit, (1,)), SCHEMA, 4, (24,))
    cutoffs = [np.datetime64("2024-01-06T00:00", "s"), np.datetime64("2024-01-07T12:00", "s")]
    found = forecaster.rolling(frame, cutoffs)
    model = models.AutoETS(season_length=1)
    first = model.fit(values[:121]).predict(4, level=[80])
    past = values[:157]
    second = model.fit(past).predict(4, level=[80]) if refit else model.forward(past, 4, level=[80])
    for answer, part in zip((first, second), found.partition_by("cutoff"), strict=True):
        np.testing.assert_allclose(part["mean"], answer["mean"])
        np.testing.assert_allclose(part["q0.1"], answer["lo-80"])
        np.testing.assert_allclose(part["q0.9"], answer["hi-80"])
        assert (part["q0.5"] == part["mean"]).all()


def test_in_a_backtest_with_holes(make_frame, task):
    pytest.importorskip("statsforecast")
    frame = make_frame(24 * 8, ("a",))
    frame = frame.with_columns(pl.when(pl.col("y") > 16).then(None).otherwise("y").alias("y"))
    holes = frame["y"].null_count()
    ets = Classical("AutoETS", season_lengths=(1,))
    report = backtest({"m": naive(SCHEMA, 6)}, frame, task=task, origins=2, compare=[ets], progress=False)
    assert "AutoETS" in report.baselines
    assert report.scores.filter(pl.col("model") == "AutoETS")["missing"].item() == 0
    note = next(note for note in report.notes if "linear interpolation" in note)
    assert note.endswith("filled by linear interpolation for AutoETS: statsforecast refuses them.")
    assert 0 < int(note.split()[0]) <= holes
