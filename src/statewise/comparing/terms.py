"""What is fixed for all competitors before the first of them is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from statewise.comparing.limits import Limits
from statewise.comparing.sweep import Sweep
from statewise.training.config import TrainConfig

# Of a job's share of the budget; the rest is for starting the program, reading rows and answering.
_TRAINING = 0.7
_PATIENCE = 2.0  # shares after which a job that does not end by itself is stopped


@dataclass(frozen=True)
class Terms:
    """The checked arguments of `compare`."""

    budget: float | None  # seconds
    limits: Limits
    seeds: int
    by: str
    parameters: int | None
    train: TrainConfig
    validation: float
    folds: int
    baselines: tuple[str, ...]
    classical: tuple[str, ...] | None
    sweep: Sweep | None
    processes: int
    resume: Path | None
    progress: bool

    @property
    def equal_sizes(self) -> bool:
        """True when hidden sizes are chosen for equal numbers of weights."""
        swept = self.sweep is not None and "hidden_size" in self.sweep.ranges
        return self.by == "parameters" and not swept

    def training_seconds(self, jobs: int) -> float:
        """What each training may take when `jobs` share the budget; 0: no limit."""
        own = self.train.budget
        share = math.inf if self.budget is None else _TRAINING * self._share(jobs, self.budget)
        return 0.0 if math.isinf(least := min(own, share)) else least

    def patience(self, jobs: int) -> float:
        """Seconds after which a job is stopped."""
        return math.inf if self.budget is None else _PATIENCE * self._share(jobs, self.budget)

    def _share(self, jobs: int, budget: float) -> float:
        return budget * max(1, min(self.processes, jobs)) / max(1, jobs)
