"""Cuts of a frame: what a forecaster sees, in which kind of frame, at which times."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statewise.evaluation.timeline import timeline
from statewise.rows.schema import ForecastSchema

CUT = np.datetime64("2024-01-02T03:00", "s")


def test_history_ends_at_the_cutoff_and_keeps_the_kind_of_frame(frame):
    for given, kind in (
        (frame, pl.DataFrame),
        (frame.to_pandas(), pd.DataFrame),
        (frame.to_arrow(), pa.Table),
    ):
        history = timeline(given, ForecastSchema()).history(CUT)
        assert isinstance(history, kind)
        table = pl.DataFrame(history) if kind is not pd.DataFrame else pl.from_pandas(history)
        assert table["ds"].max() == CUT.astype("datetime64[us]").item()
        assert table.height == 2 * 28
        assert table["ds"].is_sorted()


def test_the_future_holds_known_columns_only(frame):
    frame = frame.with_columns(pl.col("ds").dt.hour().alias("hour"), pl.col("y").alias("seen"))
    rows = timeline(frame, ForecastSchema(known=("hour",), observed=("seen",)))
    future = rows.future(CUT, 3)
    assert future.columns == ["unique_id", "ds", "hour"]
    assert future.sort("unique_id", "ds")["hour"].to_list() == [4, 5, 6, 4, 5, 6]
    until = rows.until(CUT, 3)
    after = until.filter(pl.col("ds") > CUT.astype("datetime64[us]").item())
    assert after.height == 6
    assert after["y"].null_count() == after["seen"].null_count() == 6
    assert after["hour"].null_count() == 0
    assert timeline(frame, ForecastSchema()).future(CUT, 3) is None
    assert timeline(frame, ForecastSchema()).until(CUT, 3).height == 2 * 28


@pytest.mark.parametrize("convert", [lambda f: f, lambda f: f.to_pandas(), lambda f: f.to_arrow()])
def test_a_gap_at_the_cutoff_becomes_a_missing_value(frame, convert):
    cut = CUT.astype("datetime64[us]").item()
    gappy = frame.filter((pl.col("unique_id") != "a") | (pl.col("ds") != cut))
    history = timeline(convert(gappy), ForecastSchema()).history(CUT)
    table = pl.from_pandas(history) if isinstance(history, pd.DataFrame) else pl.DataFrame(history)
    newest = table.filter(pl.col("ds") == cut).sort("unique_id")
    assert newest["unique_id"].to_list() == ["a", "b"]
    assert newest["y"].fill_nan(None).is_null().to_list() == [True, False]


def test_a_series_joins_with_its_first_value(frame):
    late = pl.col("unique_id").eq("b") & (pl.col("ds") <= pl.datetime(2024, 1, 3))
    rows = timeline(frame.with_columns(pl.when(late).then(None).otherwise("y").alias("y")), ForecastSchema())
    assert rows.history(CUT)["unique_id"].unique().to_list() == ["a"]
    after = rows.history(np.datetime64("2024-01-04T00:00", "s"))
    assert sorted(after["unique_id"].unique()) == ["a", "b"]


def test_time_zones(make_frame, hours):
    aware = make_frame(60, ("a",)).with_columns(pl.col("ds").dt.replace_time_zone("UTC"))
    aware = aware.with_columns(pl.col("ds").dt.convert_time_zone("Europe/Berlin"))
    rows = timeline(aware, ForecastSchema())
    assert rows.history(CUT).height == 28  # inside times are UTC
    assert rows.written(CUT).isoformat() == "2024-01-02T04:00:00+01:00"
    # The hour the clock goes back stands twice on the wall; each pass is one row of the grid.
    utc = pl.Series("ds", hours(48, "2024-10-26T12:00")).dt.replace_time_zone("UTC")
    wall = utc.dt.convert_time_zone("Europe/Berlin").dt.replace_time_zone(None)
    rows = timeline(
        pl.DataFrame({"ds": wall, "y": np.arange(48.0)}), ForecastSchema(timezone="Europe/Berlin")
    )
    assert rows.history(np.datetime64("2024-10-27T00:00", "s"))["y"].max() == 12
    assert rows.history(np.datetime64("2024-10-27T01:00", "s"))["y"].max() == 13


def test_text_times_and_unordered_rows(make_frame):
    frame = make_frame(60, ("a",)).with_columns(pl.col("ds").dt.to_string("%Y-%m-%d %H:%M:%S"))
    rows = timeline(frame.sample(fraction=1.0, shuffle=True, seed=0), ForecastSchema())
    assert rows.history(CUT)["ds"].max() == "2024-01-02 03:00:00"
    gone = frame.filter(pl.col("ds") != "2024-01-02 03:00:00")
    assert timeline(gone, ForecastSchema()).history(CUT)["ds"].max() == "2024-01-02T03:00:00"
