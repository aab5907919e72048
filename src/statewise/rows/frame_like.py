"""Columns as a frame of the user's own library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def frame_like(columns: Mapping[str, list[Any]], data: Any) -> Any:
    """`columns` as a frame of the library of `data` (pandas, polars, Arrow); polars where `data` is no frame.

    A pandas frame keeps the index of `data` where it has as many rows.
    """
    import narwhals as nw

    backend: Any = nw.Implementation.POLARS
    framed = nw.from_native(data, pass_through=True) if not _held(data) else None
    if isinstance(framed, nw.DataFrame | nw.LazyFrame):
        known = framed.implementation
        backend = known if known.is_pandas_like() or known.is_pyarrow() else backend
    made: Any = nw.from_dict(dict(columns), backend=backend).to_native()
    if backend.is_pandas() and len(made) == len(data):
        made.index = data.index
    return made


def _held(data: Any) -> bool:
    """Whether `data` is a path or plain Python, which is no frame."""
    return isinstance(data, str | Path | list | tuple | Mapping)
