"""Raw bytes of a public data set -> one long polars frame: unique_id, ds, targets, covariates."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

CURRENCIES = ("AUD", "GBP", "CAD", "CHF", "CNY", "JPY", "NZD", "SGD")
TETOUAN = (
    "temperature",
    "humidity",
    "wind_speed",
    "general_diffuse_flows",
    "diffuse_flows",
    "zone1",
    "zone2",
    "zone3",
)


def read_ett(files: Sequence[bytes], name: str) -> pl.DataFrame:
    """One series: ds, six loads HUFL HULL MUFL MULL LUFL LULL, and the oil temperature OT."""
    raw = pl.read_csv(files[0], schema_overrides={"date": pl.String})
    return raw.select(series(name), moment("date", "%Y-%m-%d %H:%M:%S"), pl.exclude("date").cast(pl.Float64))


def read_exchange_rate(files: Sequence[bytes]) -> pl.DataFrame:
    """Eight series of US dollars per unit of currency. The file holds no dates: see the catalogue entry."""
    raw = pl.read_csv(files[0], has_header=False, new_columns=list(CURRENCIES))
    ds = grid(datetime(1990, 1, 1), timedelta(days=1), raw.height)
    return (
        raw.with_columns(ds=ds)
        .unpivot(index="ds", variable_name="unique_id", value_name="y")
        .select("unique_id", "ds", pl.col("y").cast(pl.Float64))
    )


def read_tetouan(files: Sequence[bytes]) -> pl.DataFrame:
    """One series with three zones (kW) and five weather columns; the columns are taken by position."""
    raw = pl.read_csv(files[0], infer_schema=False)
    raw.columns = ["ds", *TETOUAN]
    stamp = "%m/%d/%Y %H:%M" if "/" in raw["ds"][0] else "%Y-%m-%d %H:%M"
    values = pl.col(TETOUAN).cast(pl.Float64)
    return raw.select(series("Tetouan"), moment("ds", stamp), values).select(
        "unique_id", "ds", "zone1", "zone2", "zone3", *TETOUAN[:5]
    )


def read_bike_sharing(files: Sequence[bytes]) -> pl.DataFrame:
    """Hourly rentals; 165 hours are absent rows. casual + registered = cnt, so never inputs."""
    raw = pl.read_csv(files[0], infer_schema_length=None)
    ds = pl.col("dteday").cast(pl.String).str.to_datetime("%Y-%m-%d") + pl.duration(hours=pl.col("hr"))
    weather = pl.col("temp", "atemp", "hum", "windspeed").cast(pl.Float64)
    return raw.select(
        series("bikes"),
        ds.alias("ds"),
        "cnt",
        "casual",
        "registered",
        weather,
        "weathersit",
        "holiday",
        "workingday",
    )


def read_vic_elec(files: Sequence[bytes]) -> pl.DataFrame:
    """Half-hourly demand (MWh) of Victoria in Melbourne time, with temperature (degC) and holidays (0/1)."""
    raw = pl.read_csv(files[0], infer_schema_length=None)
    ds = moment("time_utc", "%Y-%m-%dT%H:%MZ").dt.replace_time_zone("UTC")
    return raw.select(
        series("Victoria"),
        ds.dt.convert_time_zone("Australia/Melbourne"),
        demand=pl.col("demand_mwh"),
        temperature=pl.col("temperature_c"),
        holiday=pl.col("holiday"),
    )


def read_stocks(files: Sequence[bytes]) -> pl.DataFrame:
    """Daily prices in US dollars of AAPL, AMZN, FB and GOOG on trading days."""
    raw = pl.read_csv(files[0], infer_schema_length=None)
    raw.columns = [column.lower() for column in raw.columns]
    return raw.select(
        pl.col("symbol").alias("unique_id"),
        moment("date", "%Y-%m-%d"),
        pl.exclude("symbol", "date").cast(pl.Float64),
    )


def read_m4(files: Sequence[bytes], first: datetime, step: timedelta) -> pl.DataFrame:
    """All series, each training part followed by its test part, on a made-up grid from `first`."""
    parts = list(json.loads(files[0]).values()) if len(files) == 1 else [wide_csv(file) for file in files]
    frames = []
    for name, train in parts[0].items():
        values = [*train, *parts[1][name]]
        frame = pl.DataFrame(
            {"ds": grid(first, step, len(values)), "y": values}, schema_overrides={"y": pl.Float64}
        )
        frames.append(frame.select(series(name), "ds", "y"))
    return pl.concat(frames)


def read_nyc_flights(files: Sequence[bytes]) -> pl.DataFrame:
    """Hourly departures and delays of three airports with weather, in New York time."""
    text = {"unique_id": pl.String, "ds": pl.String}
    raw = pl.read_csv(files[0], schema_overrides=text, infer_schema_length=None)
    ds = moment("ds", "%Y-%m-%dT%H:%MZ").dt.replace_time_zone("UTC")
    return raw.with_columns(ds.dt.convert_time_zone("America/New_York"))


def read_running_text(files: Sequence[bytes]) -> pl.DataFrame:
    """One row: the whole text."""
    return pl.DataFrame({"text": [files[0].decode("utf-8")]})


def wide_csv(content: bytes) -> dict[str, list[float]]:
    """Series by name from the competition's layout: one row per series, padded with empty cells."""
    raw = pl.read_csv(io.BytesIO(content), infer_schema=False)
    rows = {}
    for name, *cells in raw.iter_rows():
        rows[name] = [float(cell) for cell in cells if cell]
    return rows


def series(name: str) -> pl.Expr:
    return pl.lit(name).alias("unique_id")


def moment(column: str, layout: str) -> pl.Expr:
    return pl.col(column).str.to_datetime(layout, time_unit="us").alias("ds")


def grid(first: datetime, step: timedelta, count: int) -> pl.Series:
    return pl.datetime_range(first, first + step * (count - 1), step, eager=True).alias("ds")


def means(frame: pl.DataFrame, every: str) -> pl.DataFrame:
    """Means of every number over periods such as "1h", per series; a period is named by its start."""
    order = frame["unique_id"].unique(maintain_order=True)
    grouped = frame.sort("unique_id", "ds").group_by_dynamic("ds", every=every, group_by="unique_id")
    averaged = grouped.agg(pl.exclude("unique_id", "ds").mean()).select(frame.columns)
    return pl.concat([averaged.filter(pl.col("unique_id") == name) for name in order])
