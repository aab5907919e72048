"""Forecasts as live rows and as frames of the user's own library."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statewise.core.errors import ShapeError
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema

TIMES = [datetime(2024, 10, 26, 20) + timedelta(hours=i) for i in range(6)]


def fit(ds: Any, schema: ForecastSchema | None = None, **columns: Any) -> ForecastCodec:
    table = pl.DataFrame({"ds": ds, "y": np.arange(6.0)} | columns)
    return ForecastCodec.fit(panel(table, schema or ForecastSchema()), 3)


def test_live_rows_are_plain_and_read_back() -> None:
    codec = fit(TIMES)
    decoded = np.arange(9.0).reshape(1, 3, 3)
    rows = codec.forecast_rows(decoded, np.datetime64("2024-10-27T01:00"), (0.1, 0.9))
    assert len(rows) == 3
    assert rows[0] == {"ds": "2024-10-27T02:00:00", "mean": 0.0, "q0.1": 1.0, "q0.9": 2.0}
    assert [row["ds"] for row in rows[1:]] == ["2024-10-27T03:00:00", "2024-10-27T04:00:00"]
    assert json.loads(json.dumps(list(rows))) == list(rows)
    assert codec.encode_row({"ds": rows[2]["ds"]}, np.datetime64("2024-10-27T01:00"))[0] == 2


def test_several_targets_are_named() -> None:
    codec = fit(TIMES, ForecastSchema(target=("y", "z")), z=np.ones(6))
    rows = codec.forecast_rows(np.zeros((2, 3, 1)), np.datetime64("2024-10-27T01:00"))
    assert len(rows) == 6
    assert [row["target"] for row in rows] == ["y"] * 3 + ["z"] * 3


def test_times_after_follow_the_grid() -> None:
    months = [date(2024, month, 1) for month in range(1, 7)]
    after = fit(months).times_after(np.datetime64("2024-06-01", "s"), 3)
    np.testing.assert_array_equal(
        after, np.array(["2024-07-01", "2024-08-01", "2024-09-01"], dtype="datetime64[s]")
    )


def test_a_frame_of_several_series_targets_and_quantiles() -> None:
    codec = fit(TIMES, ForecastSchema(target=("y", "z")), z=np.ones(6))
    decoded = np.arange(2 * 2 * 3 * 3, dtype=float).reshape(2, 2, 3, 3)
    cutoffs = np.array(["2024-10-27T01:00", "2024-11-01T00:00"], dtype="datetime64[s]")
    frame = codec.forecast_frame(["a", "b"], cutoffs, decoded, (0.1, 0.9))
    assert frame.columns == ["unique_id", "ds", "target", "mean", "q0.1", "q0.9"]
    assert frame["unique_id"].to_list() == ["a"] * 6 + ["b"] * 6
    assert frame["target"].to_list() == (["y"] * 3 + ["z"] * 3) * 2
    np.testing.assert_array_equal(frame.select("mean", "q0.1", "q0.9").to_numpy(), decoded.reshape(12, 3))
    hours = [datetime(2024, 10, 27, hour) for hour in (2, 3, 4)]
    assert frame["ds"].to_list()[:6] == hours * 2
    assert frame["ds"].to_list()[6] == datetime(2024, 11, 1, 1)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_frame_is_of_the_kind_of_the_users(unit: Any) -> None:
    users = pl.DataFrame({"ds": pl.Series(TIMES, dtype=pl.Datetime(unit))})
    codec, decoded = fit(TIMES), np.zeros((1, 1, 3, 1))
    cutoff = np.array(["2024-10-27T01:00"], dtype="datetime64[s]")
    for like, kind in (
        (users, pl.DataFrame),
        (users.to_pandas(), pd.DataFrame),
        (users.to_arrow(), pa.Table),
    ):
        frame = codec.forecast_frame(["series"], cutoff, decoded, (), like)
        assert isinstance(frame, kind)
        assert str(
            pl.from_arrow(frame).schema["ds"] if isinstance(frame, pa.Table) else frame["ds"].dtype
        ) == str(users["ds"].dtype if kind is not pd.DataFrame else like["ds"].dtype)
    assert isinstance(codec.forecast_frame(["series"], cutoff, decoded, (), "load.parquet"), pl.DataFrame)


def test_aware_times_come_back_aware() -> None:
    aware = pl.Series(TIMES).dt.replace_time_zone("Europe/Berlin")
    codec = fit(aware)
    last = np.array(["2024-10-27T00:00"], dtype="datetime64[s]")
    frame = codec.forecast_frame(["series"], last, np.zeros((1, 1, 3, 1)), (), pl.DataFrame({"ds": aware}))
    assert frame["ds"].dtype == pl.Datetime("us", "Europe/Berlin")
    assert frame["ds"].dt.hour().to_list() == [2, 3, 4]
    assert codec.forecast_rows(np.zeros((1, 3, 1)), last[0])[0]["ds"] == "2024-10-27T02:00:00+01:00"


def test_fixed_offsets_come_back_too() -> None:
    users = pd.DataFrame(
        {"ds": pd.to_datetime([f"2024-01-01T0{i}:00:00+02:00" for i in range(6)]), "y": range(6)}
    )
    codec = ForecastCodec.fit(panel(users, ForecastSchema()), 1)
    last = panel(users, ForecastSchema()).series[0].time[-1:]
    frame = codec.forecast_frame(["series"], last, np.zeros((1, 1, 1, 1)), (), users)
    assert frame["ds"].dtype == users["ds"].dtype
    assert frame["ds"][0] == pd.Timestamp("2024-01-01T06:00:00+02:00")


def test_wall_times_come_back_on_the_wall() -> None:
    codec = fit(TIMES, ForecastSchema(timezone="Europe/Berlin"))
    frame = codec.forecast_frame(
        ["series"], np.array(["2024-10-26T23:00"], "datetime64[s]"), np.zeros((1, 1, 3, 1)), ()
    )
    assert frame["ds"].dt.hour().to_list() == [2, 2, 3]


def test_dates_and_number_ids_come_back_as_such() -> None:
    days = [date(2024, 1, day) for day in range(1, 7)]
    users = pl.DataFrame({"ds": days, "y": np.arange(6.0), "unique_id": [7] * 6})
    codec = ForecastCodec.fit(panel(users, ForecastSchema()), 3)
    frame = codec.forecast_frame(
        ["7"], np.array(["2024-01-06"], "datetime64[s]"), np.zeros((1, 1, 3, 1)), (), users
    )
    assert frame["ds"].to_list() == [date(2024, 1, day) for day in (7, 8, 9)]
    assert frame["unique_id"].to_list() == [7] * 3


def test_quantiles_have_to_match() -> None:
    with pytest.raises(ShapeError, match=r"^forecast: got 2 quantiles, want 1: \[0\.5\]\.$"):
        list(fit(TIMES).forecast_rows(np.zeros((1, 3, 3)), np.datetime64("2024-10-27T01:00"), (0.5,)))
