"""A series as the rows that a live source would send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.rows.clock import Clock
from statewise.rows.schema import ForecastSchema
from statewise.rows.series import Series


def live_rows(series: Series, schema: ForecastSchema, clock: Clock, horizon: int) -> Iterator[dict[str, Any]]:
    """One row per grid time: time as text, columns to values (None: missing), JSON-plain.

    With known columns, "future" holds what is known of the next `horizon` times. `Stream.update` takes the
    rows as they are; fed all of them, it has seen what the codec makes of the whole series.
    """
    static = dict(zip(schema.static, series.static, strict=True))
    for t, text in enumerate(clock.texts(series.time)):
        row: dict[str, Any] = {schema.time: text, **static}
        for role in ("target", "observed", "known"):
            values = getattr(series, role)[t]
            row |= {name: _cell(series, name, values[i]) for i, name in enumerate(getattr(schema, role))}
        if schema.known:
            ahead = series.known[t + 1 : t + 1 + horizon]
            row["future"] = {name: _cells(series, name, ahead[:, i]) for i, name in enumerate(schema.known)}
        yield row


def _cells(series: Series, name: str, values: NDArray[np.float64]) -> list[float | str | None]:
    return [_cell(series, name, value) for value in values]


def _cell(series: Series, name: str, value: float) -> float | str | None:
    if value != value:
        return None
    categories = series.categories.get(name)
    return float(value) if categories is None else categories[int(value)]
