"""Whether a difference between two forecasters is more than noise, from one number per origin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 %.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Difference:
    """Mean paired difference over origins and the half-width of its 95 % interval.

    `half_width` is infinite when there are fewer than three independent blocks: nothing can be said then.
    """

    mean: float
    half_width: float
    origins: int
    block: int

    @property
    def is_noise(self) -> bool:
        """True when the interval contains zero."""
        return not abs(self.mean) > self.half_width


def paired_difference(per_origin: NDArray[np.float64], overlap: int = 1) -> Difference:
    """Mean of `per_origin` [O] (one loss difference per origin, in time order) and its 95 % half-width.

    Errors of neighbouring origins are related, all the more when their windows overlap (`overlap` = horizon /
    step, rounded up), so the standard error is that of the circular block bootstrap (Politis & Romano 1992)
    in its closed form: no resampling, the same answer each time. Blocks hold max(overlap, O^(1/3)) origins,
    and Student's t with (blocks - 1) degrees of freedom widens the interval where origins are few. NaN
    entries (nothing scored) drop out.
    """
    values = per_origin[~np.isnan(per_origin)]
    count = len(values)
    if count == 0:
        return Difference(math.nan, math.inf, 0, 1)
    # The small constant keeps an exact cube (27) from rounding down to 2.
    block = max(overlap, int(count ** (1 / 3) + 1e-9))
    mean = float(values.mean())
    blocks = count / block
    if blocks < 3:
        return Difference(mean, math.inf, count, block)
    wrapped = np.concatenate([values, values[: block - 1]])
    means = np.convolve(wrapped, np.full(block, 1.0 / block), mode="valid")
    # Var(mean of `blocks` blocks); the divisor makes it the usual s²/n for blocks of one.
    variance = float(((means - mean) ** 2).mean()) / blocks / (1.0 - 1.0 / blocks)
    return Difference(mean, student_t(blocks - 1.0) * math.sqrt(variance), count, block)


def student_t(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, within 1 % from 2 degrees of freedom (Fisher & Cornish 1960)."""
    z, v = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
