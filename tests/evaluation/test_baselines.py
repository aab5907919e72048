"""Baselines as forecasters of frames: many series and targets, rolling = one by one, exact errors."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import ConfigError
from statewise.evaluation.baselines import drift, fitting_seasons, naive, named_baselines, seasonal_naive
from statewise.evaluation.protocol import RollingForecaster
from statewise.rows.schema import ForecastSchema

SCHEMA = ForecastSchema(frequency="1h")


def test_a_forecast_frame(frame):
    found = naive(SCHEMA, 3)(frame)
    assert found.columns == ["unique_id", "ds", "mean", *(f"q0.{digit}" for digit in range(1, 10))]
    assert found["unique_id"].to_list() == ["a"] * 3 + ["b"] * 3
    last = frame.group_by("unique_id", maintain_order=True).last()
    assert found["mean"].to_list() == np.repeat(last["y"].to_numpy(), 3).tolist()
    assert found["ds"][0] == pl.Series([last["ds"][0]]).dt.offset_by("1h")[0]
    assert (found["q0.5"] == found["mean"]).all()
    assert (found["q0.1"] < found["q0.4"]).all()


@pytest.mark.parametrize("make", [naive, drift, lambda s, h: seasonal_naive(s, h, 24)])
def test_rolling_equals_one_call_per_origin(make, frame, hours):
    forecaster = make(SCHEMA, 4)
    assert isinstance(forecaster, RollingForecaster)
    holes = frame.with_columns(pl.when(pl.col("y") > 14).then(None).otherwise("y").alias("y"))
    cutoffs = [np.datetime64("2024-01-05T07:00", "s"), np.datetime64("2024-01-09T23:00", "s")]
    rolled = forecaster.rolling(holes, cutoffs)
    for cutoff in cutoffs:
        moment = cutoff.astype("datetime64[us]").item()
        alone = forecaster(holes.filter(pl.col("ds") <= moment))
        assert rolled.filter(pl.col("cutoff") == moment).drop("cutoff").equals(alone)


def test_several_targets_whole_number_ids_and_time_zones(frame):
    table = frame.with_columns(
        (pl.col("y") * 100).alias("z"),
        pl.col("unique_id").replace_strict({"a": 1, "b": 2}, return_dtype=pl.Int64),
        pl.col("ds").dt.replace_time_zone("UTC"),
    )
    found = naive(ForecastSchema(target=("y", "z")), 2)(table)
    assert found["target"].to_list() == ["y", "y", "z", "z"] * 2
    assert found["unique_id"].to_list() == [1] * 4 + [2] * 4
    assert found.schema["ds"] == pl.Datetime("us", "UTC")
    assert found["mean"][2] == pytest.approx(100 * found["mean"][0])


def test_named_baselines_bring_one_seasonal_naive_per_season():
    found = named_baselines(("naive", "seasonal_naive", "drift", "seasonal_naive_48"), SCHEMA, 3, (24, 168))
    assert list(found) == ["naive", "seasonal_naive", "seasonal_naive_168", "drift", "seasonal_naive_48"]
    assert fitting_seasons((24, 168), 300) == (24,)
    assert named_baselines(("seasonal_naive",), SCHEMA, 3, ()) == {}


def test_error_texts():
    with pytest.raises(ConfigError) as error:
        named_baselines(("naiv",), SCHEMA, 3, ())
    assert str(error.value) == "baseline: no such baseline 'naiv'. Did you mean 'naive'?"
    with pytest.raises(ConfigError) as error:
        seasonal_naive(SCHEMA, 3, 0)
    assert str(error.value) == "season_length: got 0, want at least 1."
