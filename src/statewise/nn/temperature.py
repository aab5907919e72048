"""Calibrated probabilities: one temperature, fitted on rows that were not trained on.

Source: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", eq. 9. The logits z
are divided by T before the softmax (of labels that stand alone: before the sigmoid); the order of the classes
stays. The likelihood is concave in 1/T, so its slope has one root, found by bisection. One row more, of each
answer in equal parts, is counted in, so that rows that are all right do not ask for certainty (Platt 1999).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LOWEST, HIGHEST = 0.05, 20.0  # what few rows, or rows that are all right, may ask for at most
_HALVINGS = 60


def temperature(logits: ArrayLike, actual: ArrayLike) -> float:
    """The T that makes `actual` [N] (a class each) most likely under softmax(logits [N, K] / T).

    Without rows it is 1.
    """
    z = np.asarray(logits, dtype=np.float64)
    if len(z) == 0:
        return 1.0
    share = 1.0 / (len(z) + 1)  # of the row that is counted in
    right = z[np.arange(len(z)), np.asarray(actual, dtype=np.int64)]
    wanted = (1.0 - share) * right + share * z.mean(axis=1)

    def slope(sharpness: float) -> float:
        """Of the mean log-likelihood in 1/T: the actual class's logit less the expected one."""
        return float((wanted - (softmax(sharpness * z) * z).sum(axis=1)).mean())

    return 1.0 / _root(slope)


def label_temperature(logits: ArrayLike, relevant: ArrayLike) -> float:
    """The same where labels stand alone: `relevant` [N, K] of zeros and ones under sigmoid(logits / T)."""
    z, there = np.asarray(logits, dtype=np.float64), np.asarray(relevant, dtype=np.float64)
    if z.size == 0:
        return 1.0

    there = there + (0.5 - there) / (len(z) + 1)

    def slope(sharpness: float) -> float:
        return float(((there - sigmoid(sharpness * z)) * z).mean())

    return 1.0 / _root(slope)


def softmax(logits: ArrayLike) -> Array:
    """Probabilities over the last axis."""
    z = np.asarray(logits, dtype=np.float64)
    power = np.exp(z - z.max(axis=-1, keepdims=True))
    made: Array = power / power.sum(axis=-1, keepdims=True)
    return made


def sigmoid(logits: ArrayLike) -> Array:
    """Probability of a yes."""
    made: Array = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))
    return made


def _root(slope: Callable[[float], float]) -> float:
    """Where a falling function crosses zero between 1/HIGHEST and 1/LOWEST; the nearer end if it does not."""
    low, high = 1.0 / HIGHEST, 1.0 / LOWEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float((low * high) ** 0.5)
