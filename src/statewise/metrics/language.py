"""Scores of language models as pure NumPy functions of surprisals (nats) and ranks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.errors import ShapeError


def perplexity(nats: ArrayLike) -> float:
    """exp of the mean surprisal (nats) per token: among how many equally likely ones the model chooses."""
    return float(np.exp(_mean(nats)))


def bits_per_unit(nats: ArrayLike, units: int) -> float:
    """Bits per unit of text: all surprisal, in bits, over `units` (its characters, its bytes, its tokens).

    Of texts cut into other tokens only bits per character or byte can be compared, never perplexities.
    """
    if units < 1:
        raise ShapeError(f"bits_per_unit: got {units} units, want at least 1.")
    return float(np.asarray(nats, dtype=np.float64).sum() / math.log(2) / units)


def ranks(log_probs: ArrayLike, target: ArrayLike) -> NDArray[np.int64]:
    """Rank of each `target` [...] in `log_probs` [..., V], from 1; among equals the worst, so that a model
    that says nothing hits nothing."""
    scores, wanted = np.asarray(log_probs), np.asarray(target)
    own = np.take_along_axis(scores, wanted[..., None], axis=-1)
    return np.asarray((scores >= own).sum(axis=-1), dtype=np.int64)


def hit_at_k(ranks: ArrayLike, k: int) -> float:
    """Share of wanted items among the k likeliest; NaN of none."""
    places = np.asarray(ranks)
    return float((places <= k).mean()) if places.size else math.nan


def reciprocal_rank(ranks: ArrayLike) -> float:
    """Mean of 1 / rank (MRR); NaN of none."""
    places = np.asarray(ranks, dtype=np.float64)
    return float((1 / places).mean()) if places.size else math.nan


def keystrokes_saved(keys: int, letters: int) -> float:
    """Share of `letters` that did not have to be typed when `keys` keys wrote them (Trnka and McCoy 2008)."""
    if letters < 1:
        raise ShapeError(f"keystrokes_saved: got {letters} letters, want at least 1.")
    return 1.0 - keys / letters


def _mean(nats: ArrayLike) -> float:
    values = np.asarray(nats, dtype=np.float64)
    return float(values.mean()) if values.size else math.nan
