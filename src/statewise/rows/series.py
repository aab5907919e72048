"""Series on their grid: regular in time, missing hours as missing values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from statewise.rows.clock import Clock
from statewise.rows.frequency import Frequency
from statewise.rows.schema import Finding, ForecastSchema

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Series:
    """One series on its grid. NaN is missing; columns of text hold numbers into `categories[column]`.

    `time` runs in UTC for grids under a day, on the wall clock for grids of whole days. `known` goes on for
    F ≥ 0 rows after the last time. `static` holds numbers or text, None where missing.
    """

    id: str
    time: Times  # [T] datetime64[s]
    target: Floats  # [T, D]
    observed: Floats  # [T, P]
    known: Floats  # [T + F, K]
    static: tuple[float | str | None, ...]
    categories: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.time)

    def head(self, length: int, future: int | None = None) -> Series:
        """The first `length` times; `known` goes on for at most `future` rows (None: no limit)."""
        stop = None if future is None else length + future
        return replace(
            self,
            time=self.time[:length],
            target=self.target[:length],
            observed=self.observed[:length],
            known=self.known[:stop],
        )


@dataclass(frozen=True, eq=False)
class Panel:
    """All series of a frame, sorted as they first appear, on one grid.

    `findings` are the warnings of the check. `id_kind` says whether ids were whole numbers in the frame.
    """

    schema: ForecastSchema
    frequency: Frequency
    clock: Clock
    series: tuple[Series, ...]
    findings: tuple[Finding, ...]
    id_kind: str = "text"

    def __len__(self) -> int:
        return len(self.series)

    @property
    def rows(self) -> int:
        """Grid points of all series together."""
        return sum(map(len, self.series))


@dataclass(frozen=True)
class Settled:
    """What a fitted model has settled about its rows: grid, clock, and which columns hold text."""

    frequency: Frequency
    clock: Clock
    texts: frozenset[str]
