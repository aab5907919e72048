"""The questions of a backtest and one forecaster's answers to them, as dense arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Questions:
    """What is asked, and what really happened: S series, D targets, O origins, H steps ahead.

    `actual` [O, S, D, H] is NaN where nothing was observed; `scale` [S, D] is the in-sample error of the
    seasonal naive with `season_length` on the rows up to the first cutoff (NaN: no such history), the unit of
    MASE.
    """

    series: tuple[str, ...]
    targets: tuple[str, ...]
    cutoffs: NDArray[np.datetime64]
    times: NDArray[np.datetime64]  # [O, H]
    actual: Array
    scale: Array
    season_length: int

    @property
    def horizon(self) -> int:
        """Number of steps ahead."""
        return int(self.actual.shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(O, S, D, H)."""
        return self.actual.shape

    def only(self, target: int) -> Questions:
        """The questions about one target."""
        part = slice(target, target + 1)
        return replace(
            self, targets=self.targets[part], actual=self.actual[:, :, part], scale=self.scale[:, part]
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """Forecasts `mean` [O, S, D, H] and `quantiles` [O, S, D, H, Q] at `levels`; NaN: no answer."""

    mean: Array
    quantiles: Array
    levels: tuple[float, ...]
    seconds: float = 0.0

    @property
    def point(self) -> Array:
        """The median, the best answer to an absolute error; the mean where there is no median."""
        if 0.5 not in self.levels:
            return self.mean
        median = self.quantiles[..., self.levels.index(0.5)]
        return np.where(np.isnan(median), self.mean, median)

    @property
    def centre(self) -> Array:
        """The mean, the best answer to a squared error; the median where there is no mean."""
        return np.where(np.isnan(self.mean), self.point, self.mean)

    def only(self, target: int) -> Answers:
        """The answers about one target."""
        part = slice(target, target + 1)
        return replace(self, mean=self.mean[:, :, part], quantiles=self.quantiles[:, :, part])

    @property
    def intervals(self) -> list[tuple[float, Array, Array]]:
        """Central intervals (nominal coverage, lower, upper), narrowest first, from the paired levels."""
        found = []
        for low in sorted((level for level in self.levels if level < 0.5), reverse=True):
            high = next((level for level in self.levels if abs(level - (1 - low)) < 1e-9), None)
            if high is not None:
                pair = [self.quantiles[..., self.levels.index(level)] for level in (low, high)]
                found.append((round(high - low, 9), pair[0], pair[1]))
        return found


def empty_answers(shape: tuple[int, ...], levels: tuple[float, ...]) -> Answers:
    """Answers of `shape` (O, S, D, H) that are all still missing; the arrays are there to be filled."""
    return Answers(np.full(shape, np.nan), np.full((*shape, len(levels)), np.nan), levels)
