"""Student's t for any degrees of freedom, by quadrature: no table, no further library."""

from __future__ import annotations

import itertools
import math

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_NORMAL = 1000.0  # degrees of freedom from which on the difference to the normal no longer shows


def tail(t: float, freedom: float) -> float:
    """P(|T| > |t|): the two-sided p-value.

    With t = √ν tan θ the density is proportional to cos(θ)^(ν - 1), which is smooth on a bounded interval.
    """
    v = min(freedom, _NORMAL)
    whole = _integral(0.0, math.pi / 2, v)
    return min(1.0, _integral(math.atan(abs(t) / math.sqrt(v)), math.pi / 2, v) / whole)


def quantile(share: float, freedom: float) -> float:
    """The t that |T| stays below with probability `share` (0.95: half a 95 % interval)."""
    low, high = 0.0, 1.0
    while tail(high, freedom) > 1 - share and high < 1e6:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > 1 - share else (low, middle)
    return high


def _integral(start: float, stop: float, freedom: float) -> float:
    """∫ cos(θ)^(ν - 1) in pieces that shrink towards 0, where a large ν has all its mass."""
    edges = [0.0, *(math.pi / 2 * 0.5**k for k in range(7, -1, -1))]
    total = 0.0
    for low, high in itertools.pairwise(edges):
        low, high = max(low, start), min(high, stop)
        if low < high:
            half = (high - low) / 2
            values = np.cos((low + high) / 2 + half * _NODES).clip(0.0) ** (freedom - 1)
            total += half * float(_WEIGHTS @ values)
    return total
