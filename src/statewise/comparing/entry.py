"""One line of a comparison: a cell or a baseline, how it did and what it costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from statewise.comparing.job import CUT_SHORT, FAILED, FINISHED, NOT_FINISHED, Result
from statewise.comparing.judgement import Gap, Judge
from statewise.comparing.losses import Losses, joined


def shown(value: float) -> str:
    """A loss: three decimals, or three digits where those would show nothing or too much."""
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1000 else f"{value:.3g}"


def signed(value: float) -> str:
    """A difference of losses, with its sign."""
    return f"{'+' if value >= 0 else ''}{shown(value)}"


@dataclass(frozen=True)
class Spread:
    """A score of several seeds: mean and standard deviation (None for one); None for what was not scored."""

    mean: float | None = None
    deviation: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of what is not NaN."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls()
        return cls(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)

    def __str__(self) -> str:
        if self.mean is None:
            return "–"
        if self.deviation is None:
            return shown(self.mean)
        fine = self.deviation < 1e-3 <= abs(self.mean) < 1000  # as many decimals as the mean has
        return f"{shown(self.mean)} ± {f'{self.deviation:.3f}' if fine else shown(self.deviation)}"


@dataclass(frozen=True)
class Entry:
    """What is known of one competitor. Seconds and bytes throughout; None where it does not apply.

    `loss` is the MASE (MAE without a scale), `gap` the difference to the best baseline, `p` its p-value
    corrected for the number of cells. `mae` and `crps` are in units of the one target (None for several).
    """

    name: str
    is_cell: bool
    status: str
    message: str = ""
    seeds: int = 0  # that are scored
    loss: Spread = field(default_factory=Spread)
    mae: Spread = field(default_factory=Spread)
    crps: Spread = field(default_factory=Spread)
    coverage_80: float | None = None
    gap: Gap | None = None
    p: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # of sw.fit and TrainConfig, for cells
    parameters: int | None = None
    train_seconds: float | None = None  # median over trainings
    train_processor_seconds: float | None = None
    train_steps: int | None = None
    peak_bytes: int | None = None  # most memory that training took on top
    step_seconds: float | None = None
    state_bytes: int | None = None
    weight_bytes: int | None = None
    over_limits: tuple[str, ...] = ()

    @property
    def scored(self) -> bool:
        """True when there is an answer to judge."""
        return self.loss.mean is not None


@dataclass(frozen=True, eq=False)
class Runs:
    """All results of one competitor, and the losses of each seed whose folds are all there."""

    name: str
    is_cell: bool
    results: tuple[Result, ...]
    folds: int

    @property
    def losses(self) -> list[Losses]:
        """One per finished seed."""
        found = []
        for seed in sorted({result.job.seed for result in self.results}):
            parts = {
                r.job.fold: r.losses for r in self.results if r.job.seed == seed and r.losses is not None
            }
            if len(parts) == self.folds:
                found.append(joined([parts[fold] for fold in range(self.folds)]))
        return found

    def fact(self, name: str) -> float | None:
        """The median of a fact over all usable results; None where nothing says it."""
        values = [r.facts[name] for r in self.results if r.usable and r.facts.get(name) is not None]
        return statistics.median(values) if values else None

    def status(self, wanted: int) -> tuple[str, str]:
        """How it went, in one word, and what to say about it; `wanted` results make it whole."""
        by = {s: [r for r in self.results if r.status == s] for s in (FAILED, NOT_FINISHED, CUT_SHORT)}
        if by[FAILED]:
            return FAILED, by[FAILED][0].message
        done = sum(result.usable for result in self.results)
        if done < wanted:
            why = next((result.message for result in by[NOT_FINISHED] if result.message), "")
            done_text = f"{done} of {wanted} runs done" if wanted > 1 else ""
            return NOT_FINISHED, "; ".join(filter(None, (why, done_text)))
        if by[CUT_SHORT]:
            steps = self.fact("steps")
            return CUT_SHORT, f"training stopped by the clock after {steps:.0f} steps (median)"
        return FINISHED, ""


def scores(losses: Sequence[Losses], judge: Judge) -> dict[str, Any]:
    """The fields of an entry that losses settle."""
    one = len(judge.questions.targets) == 1
    inside = [_nanmean(run.inside) for run in losses]
    return {
        "seeds": len(losses),
        "loss": Spread.of([judge.mean(run) for run in losses]),
        "mae": Spread.of([_nanmean(run.error) for run in losses]) if one else Spread(),
        "crps": Spread.of([_nanmean(run.crps) for run in losses]) if one else Spread(),
        "coverage_80": Spread.of(inside).mean,
    }


def _nanmean(values: Any) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
