"""A probability put right by how often such ones were: two numbers, fitted on held-out rows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_FEWEST = 20  # answers to fit two numbers to
_PENALTY = 1.0  # of leaving (1, 0), as much as one answer counts
_ROUNDS = 50


class Platt(NamedTuple):
    """σ(slope · logit p + shift), with slope above 0 (Platt 1999)."""

    slope: float = 1.0
    shift: float = 0.0

    def after(self, probability: float) -> float:
        """What `probability` (0 to 1) becomes; the order of probabilities stays."""
        return _sigmoid(self.slope * _logit(probability) + self.shift)

    def before(self, probability: float) -> float:
        """What becomes `probability`."""
        return _sigmoid((_logit(probability) - self.shift) / self.slope)


def _logit(probability: float) -> float:
    kept = min(max(probability, 1e-12), 1.0 - 1e-12)
    return math.log(kept / (1.0 - kept))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


AS_THEY_ARE = Platt()


def fit_platt(probability: ArrayLike, correct: ArrayLike) -> Platt:
    """The most likely slope and shift, given which answers [N] of some probability [N] were right.

    By Newton's method with a weak pull towards leaving probabilities as they are; so they stay where there
    are too few answers, or where the likelier ones are not right more often.
    """
    x = np.array([_logit(p) for p in np.asarray(probability, np.float64).tolist()])
    y = np.asarray(correct, np.float64)
    if len(x) < _FEWEST:
        return AS_THEY_ARE
    features = np.stack((x, np.ones_like(x)))
    weights = start = np.array([1.0, 0.0])
    for _ in range(_ROUNDS):
        made = 1.0 / (1.0 + np.exp(-np.clip(weights @ features, -500, 500)))
        gradient = features @ (made - y) + _PENALTY * (weights - start)
        curvature = (features * (made * (1.0 - made))) @ features.T + _PENALTY * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return Platt(*weights.tolist()) if weights[0] > 0 else AS_THEY_ARE
