"""Scores of answers: over everything, by horizon, by central interval; one formula for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from statewise.evaluation.answers import Answers, Array, Questions
from statewise.metrics import forecast as metrics

Row = dict[str, Any]
# Columns that carry the unit of the target, and mean nothing over several targets.
UNIT_BEARING = ("mae", "rmse", "crps", "width_80")
ALL_TARGETS = "all"


def score_rows(questions: Questions, answers: Mapping[str, Answers], reference: str | None) -> list[Row]:
    """One row per model and target, and per model over all targets when there are several.

    `reference` names the model the skill is measured against (None: no skill).
    """
    rows = []
    for part in _parts(questions):
        scores = {name: _scores(questions, answer, part, axis=None) for name, answer in answers.items()}
        for name, score in scores.items():
            row = {key: _plain(value) for key, value in score.items()}
            row["skill"] = _plain(_skill(score, scores.get(reference or "")))
            per_origin = answers[name].seconds / len(questions.cutoffs)
            rows.append({"model": name, "target": _label(questions, part), **row, "seconds": per_origin})
    return rows


def horizon_rows(questions: Questions, answers: Mapping[str, Answers], reference: str | None) -> list[Row]:
    """One row per model, target and step ahead (1 … H)."""
    rows = []
    for part in _parts(questions):
        scores = {name: _scores(questions, answer, part, axis=(0, 1, 2)) for name, answer in answers.items()}
        for name, score in scores.items():
            score = {**score, "skill": _skill(score, scores.get(reference or ""))}
            for step in range(questions.horizon):
                head = {"model": name, "target": _label(questions, part), "horizon": step + 1}
                rows.append({**head, **{key: _plain(value[step]) for key, value in score.items()}})
    return rows


def reliability_rows(questions: Questions, answers: Mapping[str, Answers]) -> list[Row]:
    """Nominal against empirical coverage per model, target and central interval."""
    rows = []
    for part in _parts(questions):
        actual = questions.actual[:, :, part]
        for name, answer in answers.items():
            for nominal, lower, upper in answer.intervals:
                low, high = lower[:, :, part], upper[:, :, part]
                known = np.where(np.isnan(low + high), np.nan, actual)
                rows.append(
                    {
                        "model": name,
                        "target": _label(questions, part),
                        "nominal": nominal,
                        "empirical": _plain(metrics.coverage(known, low, high)),
                        "width": _plain(metrics.width(known, low, high)) if _one(part) else None,
                        "n": int(metrics.scored(known)),
                    }
                )
    return rows


def _parts(questions: Questions) -> list[slice]:
    """Each target on its own, then all together when there are several."""
    count = len(questions.targets)
    single = [slice(index, index + 1) for index in range(count)]
    return single if count == 1 else [*single, slice(0, count)]


def _one(part: slice) -> bool:
    return bool(part.stop - part.start == 1)


def _label(questions: Questions, part: slice) -> str:
    return questions.targets[part.start] if _one(part) else ALL_TARGETS


def _scores(questions: Questions, answers: Answers, part: slice, axis: metrics.Axis) -> dict[str, Array]:
    """Scores of one target or all, over `axis` of [O, S, D, H]; rows without an answer count as missing."""
    actual = questions.actual[:, :, part]
    point, centre = answers.point[:, :, part], answers.centre[:, :, part]
    answered = np.where(np.isnan(point), np.nan, actual)
    scores = {
        "n": metrics.scored(answered, axis).astype(np.float64),
        "missing": (metrics.scored(actual, axis) - metrics.scored(answered, axis)).astype(np.float64),
        "mae": metrics.mae(answered, point, axis),
        "rmse": metrics.rmse(answered, centre, axis),
        "mase": metrics.mase(answered, point, questions.scale[:, part, None], axis),
        "smape": metrics.smape(answered, point, axis),
        **_interval_scores(answers, actual, part, axis),
    }
    if not _one(part):
        scores.update({name: np.full_like(scores["n"], np.nan) for name in UNIT_BEARING})
        scores["wql"] = _mean_wql(answers, actual, axis)
    return scores


def _interval_scores(answers: Answers, actual: Array, part: slice, axis: metrics.Axis) -> dict[str, Array]:
    quantiles = answers.quantiles[:, :, part]
    nothing = np.full(np.shape(metrics.scored(actual, axis)), np.nan)
    scores = dict.fromkeys(("crps", "wql", "coverage_80", "width_80"), nothing)
    # A single level (the median alone) is a point forecast: it says nothing about a distribution.
    if len(answers.levels) > 1:
        known = np.where(np.isnan(quantiles).any(axis=-1), np.nan, actual)
        scores["crps"] = metrics.crps(known, quantiles, answers.levels, axis)
        scores["wql"] = metrics.wql(known, quantiles, answers.levels, axis)
    for nominal, lower, upper in answers.intervals:
        if nominal == 0.8:
            low, high = lower[:, :, part], upper[:, :, part]
            known = np.where(np.isnan(low + high), np.nan, actual)
            scores["coverage_80"] = metrics.coverage(known, low, high, axis)
            scores["width_80"] = metrics.width(known, low, high, axis)
    return scores


def _mean_wql(answers: Answers, actual: Array, axis: metrics.Axis) -> Array:
    """Weighted quantile loss over several targets: the mean of theirs, for a sum of units means nothing."""
    parts = [slice(index, index + 1) for index in range(actual.shape[2])]
    shares = [_interval_scores(answers, actual[:, :, p], p, axis)["wql"] for p in parts]
    return np.asarray(np.mean(shares, axis=0))


def _skill(score: Mapping[str, Array], reference: Mapping[str, Array] | None) -> Array:
    """1 - MASE / MASE of the reference (MAE where MASE is not defined): 0 is level, 1 perfect."""
    if reference is None:
        return np.full_like(score["n"], np.nan)
    scaled, plain = (
        score[name] / np.where(reference[name] == 0, np.nan, reference[name]) for name in ("mase", "mae")
    )
    skill: Array = 1.0 - np.where(np.isnan(scaled), plain, scaled)
    return skill


def _plain(value: Any) -> float | int | None:
    """A JSON-plain number; None instead of NaN."""
    number = float(value)
    return None if np.isnan(number) else number
