"""What a reader of a format gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple


class Columns(NamedTuple):
    """Columns of one file, and where each row stands in it."""

    columns: dict[str, list[Any]]
    numbers: Sequence[int]  # of each row: its first line from 1, or its place from 0
    unit: Literal["line", "row"] = "line"
    names: Literal["own", "first line", "none"] = "own"  # where the names of the columns come from
