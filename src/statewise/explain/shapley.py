"""Exact Shapley values (Shapley 1953) from the value of every coalition."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shapley_values(values: Floats) -> Floats:
    """Contributions [n, ...] of n players from `values` [2**n, ...]; bit i of a row's number: i takes part.

    phi_i = sum over coalitions S without i of |S|! (n - |S| - 1)! / n! · (v(S + i) - v(S)), so that
    v(nobody) + sum of phi = v(all) but for rounding.
    """
    players = len(values).bit_length() - 1
    coalitions = np.arange(len(values))
    size = np.array([number.bit_count() for number in range(len(values))])
    weight = np.array([1 / (players * math.comb(players - 1, k)) for k in range(players)])
    found = []
    for player in range(players):
        without = coalitions[coalitions >> player & 1 == 0]
        gain = values[without | 1 << player] - values[without]
        found.append(np.tensordot(weight[size[without]], gain, axes=1))
    return np.stack(found) if found else np.empty((0, *values.shape[1:]))
