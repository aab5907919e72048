"""Parquet, read by polars."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_bytes


def read_parquet(path: Path) -> Columns:
    """The columns of a Parquet file; rows are numbered from 0."""
    frame = read_frame(path)
    return Columns({column.name: column.to_list() for column in frame}, range(frame.height), unit="row")


def read_frame(path: Path) -> Any:
    """A Parquet file as a polars frame. Raises DataError when it is none."""
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(read_bytes(path)))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
