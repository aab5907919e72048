"""Classification scores as pure NumPy functions.

Classes are whole numbers 0 … K - 1, `probabilities` [N, K] rows that sum to one; of several labels at once
(`relevant` [N, K] of zeros and ones) every column stands by itself. A score that is not defined (a class that
never occurs) is NaN, and an average over classes leaves it out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
TINY = 1e-15  # probabilities are kept this far from 0 and 1 before their logarithm is taken


class PerClass(NamedTuple):
    """Precision, recall, their harmonic mean and the number of actual rows, [K] each."""

    precision: Array  # 0 where nothing was predicted
    recall: Array  # 0 where nothing is there
    f1: Array
    support: Counts


class Reliability(NamedTuple):
    """Bins of confidence: how many rows, how sure they were on average, and how often right, [bins] each."""

    rows: Counts
    confidence: Array  # NaN in an empty bin
    accuracy: Array  # NaN in an empty bin


def accuracy(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Share (0–1) of rows whose class, or whole set of labels [N, K], is right; NaN without rows."""
    right = np.asarray(actual) == np.asarray(predicted)
    whole = right.reshape(len(right), -1).all(axis=1) if right.size else right
    return float(whole.mean()) if whole.size else float("nan")


def confusion(actual: ArrayLike, predicted: ArrayLike, classes: int) -> Counts:
    """Counts [K, K]: rows are actual classes, columns predicted ones."""
    pairs = np.asarray(actual, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class(table: ArrayLike) -> PerClass:
    """Precision, recall and F1 of each class from a confusion table [K, K]."""
    counts = np.asarray(table, dtype=np.int64)
    return _per_class(np.diag(counts), counts.sum(axis=0), counts.sum(axis=1))


def per_label(relevant: ArrayLike, chosen: ArrayLike) -> PerClass:
    """Precision, recall and F1 of each label from zeros and ones [N, K]."""
    actual, predicted = np.asarray(relevant, dtype=bool), np.asarray(chosen, dtype=bool)
    return _per_class((actual & predicted).sum(axis=0), predicted.sum(axis=0), actual.sum(axis=0))


def f1_macro(scores: PerClass) -> float:
    """Mean F1 over the classes that occur or were predicted (where neither, there is nothing to score)."""
    seen = ~np.isnan(scores.f1)
    return float(scores.f1[seen].mean()) if seen.any() else float("nan")


def f1_micro(relevant: ArrayLike, chosen: ArrayLike) -> float:
    """F1 of all labels of all rows taken together."""
    actual, predicted = np.asarray(relevant, dtype=bool), np.asarray(chosen, dtype=bool)
    size = int(actual.sum() + predicted.sum())
    return 2 * int((actual & predicted).sum()) / size if size else float("nan")


def log_loss(actual: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log-likelihood of the actual class, nats."""
    made = np.asarray(probabilities, dtype=np.float64)
    right = made[np.arange(len(made)), np.asarray(actual, dtype=np.int64)]
    return float(-np.log(np.clip(right, TINY, 1.0)).mean()) if len(made) else float("nan")


def binary_log_loss(relevant: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log-likelihood of a yes or no, nats, over all rows and labels [N, K]."""
    yes = np.clip(np.asarray(probabilities, dtype=np.float64), TINY, 1.0 - TINY)
    there = np.asarray(relevant, dtype=bool)
    return float(-np.log(np.where(there, yes, 1.0 - yes)).mean()) if yes.size else float("nan")


def brier(actual: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared distance (0–2) of the probabilities [N, K] from the actual class (Brier 1950)."""
    made = np.asarray(probabilities, dtype=np.float64)
    there = np.eye(made.shape[1])[np.asarray(actual, dtype=np.int64)]
    return float(((made - there) ** 2).sum(axis=1).mean()) if len(made) else float("nan")


def reliability(correct: ArrayLike, confidence: ArrayLike, bins: int = 15) -> Reliability:
    """Rows in equally wide bins (low, high] of confidence 0 to 1: how sure, and how often right."""
    right, sure = np.asarray(correct, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    size = np.where(count == 0, np.nan, count)
    return Reliability(
        count,
        np.bincount(place, sure, minlength=bins) / size,
        np.bincount(place, right, minlength=bins) / size,
    )


def expected_calibration_error(correct: ArrayLike, confidence: ArrayLike, bins: int = 15) -> float:
    """Mean distance (0–1) between confidence and accuracy over bins, weighted by rows (Guo 2017, eq. 5).

    `correct` says of each row whether its prediction is right, `confidence` how probable it was said to be.
    """
    found = reliability(correct, confidence, bins)
    total = found.rows.sum()
    gaps = np.nan_to_num(np.abs(found.accuracy - found.confidence))
    return float((gaps * found.rows).sum() / total) if total else float("nan")


def auc_pr(relevant: ArrayLike, score: ArrayLike) -> float:
    """Average precision: precision at each rank of a relevant row, by falling score, averaged; ties as one.

    NaN where no row is relevant. A score at random gets the share of relevant rows.
    """
    there, value = np.asarray(relevant, dtype=bool), np.asarray(score, dtype=np.float64)
    if not there.any():
        return float("nan")
    order = np.argsort(-value, kind="stable")
    hits = np.cumsum(there[order])
    ends = np.flatnonzero(np.append(np.diff(value[order]) != 0, True))  # the last row of each tie
    recall = hits[ends] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * hits[ends] / (ends + 1)).sum())


def auc_pr_macro(relevant: ArrayLike, scores: ArrayLike) -> float:
    """Mean average precision over the labels [N, K] that occur."""
    there, value = np.asarray(relevant, dtype=bool), np.asarray(scores, dtype=np.float64)
    each = [auc_pr(there[:, k], value[:, k]) for k in range(there.shape[1]) if there[:, k].any()]
    return float(np.mean(each)) if each else float("nan")


def _per_class(right: Counts, predicted: Counts, actual: Counts) -> PerClass:
    """From counts [K] of rows that are right, predicted and actual; F1 is NaN where there are neither."""
    both = predicted + actual
    return PerClass(
        right / np.maximum(predicted, 1),
        right / np.maximum(actual, 1),
        np.where(both > 0, 2 * right / np.maximum(both, 1), np.nan),
        actual,
    )
