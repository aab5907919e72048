"""What a backtest says in words: who wins, by how much, and whether that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from statewise.evaluation.answers import Answers, Array, Questions
from statewise.evaluation.significance import Difference, paired_difference


@dataclass(frozen=True)
class Duel:
    """One model against another on the rows both answered: mean losses and their paired difference."""

    model: str
    rival: str
    loss: float
    rival_loss: float
    difference: Difference

    @property
    def percent(self) -> float:
        """By how many percent of the rival's loss the model is worse (below 0: better)."""
        return 100.0 * (self.loss / self.rival_loss - 1.0) if self.rival_loss else math.nan

    @property
    def wins(self) -> bool:
        """True when the model is better by more than noise."""
        return self.difference.mean < 0 and not self.difference.is_noise

    @property
    def open(self) -> bool:
        """True when the model is better, and the origins are too few to tell whether that is noise."""
        return self.difference.mean < 0 and math.isinf(self.difference.half_width)

    @property
    def loses(self) -> bool:
        """True when the model is worse by more than noise."""
        return self.difference.mean > 0 and not self.difference.is_noise


def verdict(questions: Questions, answers: Mapping[str, Answers], models: Sequence[str], step: int) -> str:
    """Plain sentences: each of `models` against the best of the others in `answers` (the baselines).

    A baseline that is better than naive, but only within noise, is not called the best: naive is.

    The loss is MASE, or MAE where no row has a scale. Differences are paired over origins; `step` is their
    distance.
    """
    lines = _sentences(questions, answers, models, step)
    if len(questions.targets) > 1:
        lines = [f"All targets: {line}" for line in lines]
        for index, target in enumerate(questions.targets):
            alone = {name: answer.only(index) for name, answer in answers.items()}
            lines += [f"{target}: {line}" for line in _sentences(questions.only(index), alone, models, step)]
    for name in answers:
        lines += _gaps(questions, name, answers[name])
    return "\n".join(lines)


def mean_losses(questions: Questions, answers: Mapping[str, Answers]) -> dict[str, float]:
    """Mean MASE (MAE where no row has a scale) per model that has a scored answer, best first."""
    losses = {name: _loss(questions, answer) for name, answer in answers.items()}
    means = {name: float(np.nanmean(loss)) for name, loss in losses.items() if not np.isnan(loss).all()}
    return {name: means[name] for name in sorted(means, key=means.__getitem__)}


def _sentences(
    questions: Questions, answers: Mapping[str, Answers], models: Sequence[str], step: int
) -> list[str]:
    unit = "MASE" if _scaled(questions) else "MAE"
    overlap = -(-questions.horizon // step)
    means = mean_losses(questions, answers)
    if not means:
        return ["Nothing could be scored: no forecast meets an observed value."]
    rivals = [name for name in means if name not in models]
    ranked = [name for name in means if name in models]
    against_naive = {
        name: _duel(questions, answers, name, "naive", overlap)
        for name in means
        if "naive" in rivals and name != "naive"
    }
    rival = _rival(rivals, against_naive)
    lines = [_sentence(_duel(questions, answers, name, rival, overlap), unit) for name in ranked if rival]
    if against_naive and not any(duel.wins or duel.open for duel in against_naive.values()):
        lines.append("Nothing here beats naive, the random walk, by more than noise.")
    if len(ranked) > 1 or not rivals:
        lines.append(f"By {unit}: " + ", ".join(f"{name} {means[name]:.3g}" for name in ranked) + ".")
    return lines


def _rival(rivals: Sequence[str], against_naive: Mapping[str, Duel]) -> str:
    """The baseline to beat: the best one, but naive, which needs no fitting, where the best is only lucky."""
    if not rivals or rivals[0] not in against_naive:
        return next(iter(rivals), "")
    best = against_naive[rivals[0]]
    return rivals[0] if best.wins or best.open else "naive"


def _duel(questions: Questions, answers: Mapping[str, Answers], model: str, rival: str, overlap: int) -> Duel:
    mine, theirs = _loss(questions, answers[model]), _loss(questions, answers[rival])
    both = ~np.isnan(mine) & ~np.isnan(theirs)
    gap = np.where(both, mine - theirs, np.nan).reshape(len(mine), -1)
    counts = both.reshape(len(mine), -1).sum(axis=1)
    per_origin = np.nansum(gap, axis=1) / np.where(counts == 0, np.nan, counts)
    losses = [float(loss[both].mean()) if both.any() else math.nan for loss in (mine, theirs)]
    return Duel(model, rival, losses[0], losses[1], paired_difference(per_origin, overlap))


def _sentence(duel: Duel, unit: str) -> str:
    size = _percent(duel.percent)
    evidence = f"{unit} {duel.loss:.4g} against {duel.rival_loss:.4g}, {_noise(duel.difference)}"
    if duel.wins:
        return f"{duel.model} beats {duel.rival}, the best baseline, by {size} ({evidence})."
    if duel.loses:
        return f"{duel.rival} beats {duel.model} by {size}: use {duel.rival} ({evidence})."
    if math.isinf(duel.difference.half_width):
        return f"Too few origins to tell {duel.model} from {duel.rival}, the best baseline ({evidence})."
    if duel.difference.mean == 0 and duel.difference.half_width == 0:
        return f"{duel.model} is no better than {duel.rival}: both are equal; use {duel.rival}."
    side = "better" if duel.difference.mean < 0 else "worse"
    return (
        f"{duel.model} is no better than {duel.rival}: {size} {side} is within noise; "
        f"use {duel.rival} ({evidence})."
    )


def _noise(difference: Difference) -> str:
    if math.isnan(difference.mean):
        return "no rows in common"
    origins = f"{difference.origins} origins" if difference.origins != 1 else "1 origin"
    if math.isinf(difference.half_width):
        return f"difference {difference.mean:+.2g} over {origins}"
    blocks = f" in blocks of {difference.block}" if difference.block > 1 else ""
    interval = f"{difference.mean:+.2g} ± {difference.half_width:.2g}"
    return f"difference {interval}, 95 %, paired over {origins}{blocks}"


def _gaps(questions: Questions, name: str, answers: Answers) -> list[str]:
    asked = ~np.isnan(questions.actual)
    missing = int((asked & np.isnan(answers.point)).sum())
    if not missing:
        return []
    return [
        f"{name} gave no forecast for {missing} of {int(asked.sum())} observed values: not in its scores."
    ]


def _scaled(questions: Questions) -> bool:
    return bool((questions.scale > 0).any())


def _loss(questions: Questions, answers: Answers) -> Array:
    """|error| [O, S, D, H], in units of the in-sample seasonal naive where that is defined for any series."""
    error = np.abs(questions.actual - answers.point)
    if not _scaled(questions):
        return error
    return error / np.where(questions.scale > 0, questions.scale, np.nan)[:, :, None]


def _percent(value: float) -> str:
    size = abs(value)
    return f"{size:.0f} %" if size >= 10 else f"{size:.1f} %"
