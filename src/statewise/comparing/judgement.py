"""Is a competitor better than another by more than the luck of its origins and of its seeds?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from statewise.comparing.losses import Losses
from statewise.comparing.student import quantile, tail
from statewise.evaluation.answers import Questions
from statewise.evaluation.significance import paired_difference, student_t

Array = NDArray[np.float64]
SURE = 0.05  # two-sided


@dataclass(frozen=True)
class Gap:
    """Mean loss of one competitor less that of a rival on the steps both answered, and its 95 % interval.

    `half_width` is infinite and `p` 1 where the origins are too few to tell.
    """

    loss: float
    rival_loss: float
    half_width: float
    p: float

    @property
    def mean(self) -> float:
        """The difference; below 0 the competitor is better."""
        return self.loss - self.rival_loss

    @property
    def percent(self) -> float:
        """The difference in percent of the rival's loss."""
        return 100 * self.mean / self.rival_loss if self.rival_loss else math.nan


@dataclass(frozen=True, eq=False)
class Judge:
    """Compares losses in units of MASE, or in those of the target where no row has a scale.

    `overlap` = horizon / step, rounded up: by so many origins the windows overlap.
    """

    questions: Questions
    overlap: int

    @property
    def unit(self) -> str:
        """What losses are measured in."""
        return "MASE" if (self.questions.scale > 0).any() else "MAE"

    def scaled(self, losses: Losses) -> Array:
        """Absolute errors [O, S, D, H] in that unit; NaN where not scored."""
        error = losses.error.astype(np.float64)
        if self.unit == "MAE":
            return error
        scale = self.questions.scale
        return error / np.where(scale > 0, scale, np.nan)[:, :, None]

    def mean(self, losses: Losses) -> float:
        """Mean loss of one run; NaN when it answered nothing."""
        return _mean(self.scaled(losses))

    def gap(self, mine: Sequence[Losses], theirs: Sequence[Losses]) -> Gap:
        """Mean difference of two competitors, of one run per seed each, paired over origins.

        Two sources of luck are added: that of the origins (block bootstrap of the mean over seeds, as in
        `backtest`), and that of the seeds (their variance over their number, counted where a competitor has
        several). Degrees of freedom are joined as by Welch (1947). The interaction of both sources enters
        twice, so the interval is rather too wide than too narrow.
        """
        a, b = (np.stack([self.scaled(one) for one in runs]) for runs in (mine, theirs))
        both: NDArray[np.bool_] = np.logical_not(np.isnan(np.concatenate((a, b))).any(axis=0))
        if not both.any():
            return Gap(math.nan, math.nan, math.inf, 1.0)
        middle = [np.where(both, runs.mean(axis=0), np.nan) for runs in (a, b)]
        means = [float(np.nanmean(one)) for one in middle]
        flat = (middle[0] - middle[1]).reshape(len(both), -1)
        counts = (~np.isnan(flat)).sum(axis=1)
        per_origin = np.nansum(flat, axis=1) / np.where(counts == 0, np.nan, counts)
        origins = paired_difference(per_origin, self.overlap)
        if math.isinf(origins.half_width):
            return Gap(means[0], means[1], math.inf, 1.0)
        freedom = origins.origins / origins.block - 1.0
        parts = [((origins.half_width / student_t(freedom)) ** 2, freedom)]
        parts += [part for runs in (a, b) if (part := _luck_of_seeds(runs[:, both])) is not None]
        return Gap(means[0], means[1], *_interval(means[0] - means[1], parts))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values for which all the claims "p < 0.05" together are wrong with probability 5 % (Holm 1979)."""
    found, largest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        found[name] = largest
    return found


def _luck_of_seeds(runs: Array) -> tuple[float, float] | None:
    """Variance of the mean over seeds, and its degrees of freedom; None for a single run."""
    if len(runs) < 2:
        return None
    means = runs.mean(axis=1)
    return float(means.var(ddof=1)) / len(means), len(means) - 1.0


def _interval(mean: float, parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Half-width of the 95 % interval and two-sided p-value, from variances with their degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance == 0.0:
        return 0.0, 1.0 if mean == 0.0 else 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = math.sqrt(variance)
    return quantile(1 - SURE, freedom) * error, tail(mean / error, freedom)


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
