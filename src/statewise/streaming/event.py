"""What an update gives: the forecast in the user's units, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.rows.forecast import ForecastCodec


class Provenance(NamedTuple):
    """How a forecast came about; counts are in steps of the series' grid since the session began."""

    steps: int  # all steps taken, missing ones included
    missing: int  # steps that had no row
    gap: int  # missing steps right before this row
    warm: bool  # as many steps as the model wants before its forecasts count
    model: str  # hash of weights, config and codec


class Forecast:
    """One forecast of a series, made at `time` (inside time of the newest row).

    `values` [D, H, 1 + Q] are in units: the mean, then the quantiles.
    """

    def __init__(
        self,
        series_id: str,
        time: np.datetime64,
        values: NDArray[np.float64],
        provenance: Provenance,
        quantiles: tuple[float, ...],
        codec: ForecastCodec,
    ) -> None:
        self.series_id = series_id
        self.time = time
        self.values = values
        self.provenance = provenance
        self._quantiles = quantiles
        self._codec = codec

    @cached_property
    def rows(self) -> Sequence[dict[str, Any]]:
        """{ds, (target,) mean, q0.1, …} per step ahead (and target), built when first looked at."""
        return self._codec.forecast_rows(self.values, self.time, self._quantiles)

    def plain(self) -> dict[str, Any]:
        """The forecast and its provenance as JSON-plain values."""
        schema = self._codec.schema
        head = {schema.id: self.series_id} if schema.id else {}
        made_at = self._codec.clock.texts(np.array([self.time], dtype="datetime64[s]"))[0]
        return {**head, schema.time: made_at, "forecast": list(self.rows), **self.provenance._asdict()}

    def __repr__(self) -> str:
        return f"Forecast({self.series_id!r}, made at {self.time}, first {self.rows[0]}, {self.provenance})"
