"""What evaluation asks of a forecaster: any callable of the right form; nothing needs to be subclassed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np

from statewise.rows.schema import ForecastSchema

# Any eager frame that narwhals understands: polars, pandas, Arrow …
Frame = Any

# history (all rows up to a cutoff), future (id, time and known columns of the rows after it, or None)
# -> unique_id, ds, [target], mean and/or q0.1 …, one row per series and step after the cutoff.
Forecaster = Callable[[Frame, Frame | None], Frame]

# The form of a leak test: all rows, those after the cutoff too, and the cutoff -> the same frame as above.
CutoffForecaster = Callable[[Frame, datetime], Frame]

# Rows up to a cutoff -> a forecaster fitted on them.
Refit = Callable[[Frame], Forecaster]


@runtime_checkable
class RollingForecaster(Protocol):
    """A forecaster that answers many origins in one pass, which `backtest` prefers to repeated calls."""

    def rolling(self, data: Frame, cutoffs: Sequence[np.datetime64]) -> Frame:
        """Forecasts from every cutoff (inside times, as in `rows.panel`), with a `cutoff` column.

        Each forecast must be what a plain call on the rows up to its cutoff would give. `data` holds all rows
        up to the last cutoff, and after it only what is known ahead (id, time, known and static columns; the
        rest is null).
        """


@runtime_checkable
class Tasked(Protocol):
    """A forecaster that brings its own task, so that `backtest` and the checks need not be told it."""

    @property
    def task(self) -> ForecastTask:
        """The task the forecaster was made for."""


@runtime_checkable
class Trained(Protocol):
    """A forecaster that says which rows it has seen, so that `backtest` can tell when it knew the answers."""

    @property
    def trained_until(self) -> str | None:
        """Time of the newest training row, in the convention of the rows; None where it is not known."""


class ForecastTask(Protocol):
    """The two facts of a forecasting task that an evaluation needs."""

    @property
    def schema(self) -> ForecastSchema:
        """Column names, roles, frequency and time zone."""

    @property
    def horizon(self) -> int:
        """Number of steps ahead."""
