"""`sw.compare`: which cell for my data, within what it may cost?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from statewise.comparing.candidates import Cells, candidates
from statewise.comparing.limits import Limits
from statewise.comparing.losses import exam
from statewise.comparing.report import ComparisonReport
from statewise.comparing.run import Comparison
from statewise.comparing.sweep import Sweep, need_optuna
from statewise.comparing.terms import Terms
from statewise.core.errors import ConfigError, lookup
from statewise.core.quantities import seconds
from statewise.rows.frames import read
from statewise.tasks.forecast import Forecast
from statewise.training.config import DEFAULT_TRAIN, TrainConfig

By = Literal["parameters", "time"]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def compare(
    task: Forecast,
    data: Any,
    cells: Cells | None = None,
    *,
    budget: str | float | None = "5 min",
    latency: str | float | None = None,
    memory: str | float | None = None,
    seeds: int = 3,
    by: By = "parameters",
    parameters: int | None = None,
    model: Mapping[str, Any] = _NOTHING,
    train: TrainConfig = DEFAULT_TRAIN,
    validation: float = 0.1,
    origins: int | Sequence[datetime] = 30,
    step: int | None = None,
    folds: int = 1,
    baselines: Sequence[str] = ("naive", "seasonal_naive", "drift", "linear"),
    classical: Sequence[str] | None = None,
    sweep: Sweep | None = None,
    processes: int | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
) -> ComparisonReport:
    """Which of `cells` forecasts `data` best, what does each cost, and does any of them beat the baselines?

    `cells`: names or patterns, "all", or a mapping from a name to settings of `sw.fit` and `TrainConfig`;
    by default a short list of one cell of each kind. All see the same rows: trained on those before the first
    of the newest `origins`, `step` apart (as in `sw.backtest`), each from `seeds` seeds, scored at the
    origins. With `folds`, the origins are cut into so many runs and everything is trained anew before each.

    by="parameters": every cell gets the hidden size with which it has nearest to `parameters` weights
    (default: those of an LSTM of the shared hidden size), and trains for the steps of `train`.
    by="time": hidden sizes as given, and the same training time for all. `model` holds settings of `sw.fit`
    that all share.

    `budget` is the time of the whole call ("5 min"; None: no limit); each training may take an equal share of
    it. `latency` of one live step and `memory` of one session (its state and the weights) are limits for what
    is recommended. `baselines` and `classical` are those of `backtest`; by default all models of
    statsforecast where it is installed. `sweep` first chooses settings for every cell on the held-out end of
    the training rows.

    Work runs in `processes` programs (default: one per core; 0: in this process). `resume`, a folder, keeps
    what is finished: the same call goes on from there.
    Raises ConfigError, DataError, MissingExtraError; what a single cell raises is reported in its line.
    """
    lookup(dict.fromkeys(("parameters", "time")), by, "by")
    _check(seeds=seeds, folds=folds)
    if processes is not None and processes < 0:
        raise ConfigError(f"processes: got {processes}, want 0 (this process) or more.")
    limit = None if budget is None else seconds(budget, "budget")
    if by == "time" and limit is None:
        raise ConfigError("budget: got None, want a time to share, such as '5 min', with by='time'.")
    if by == "time" and parameters is not None:
        raise ConfigError("parameters: equal sizes go with by='parameters', got by='time'.")
    if sweep is not None:
        _check_sweep(sweep, parameters, validation)
    terms = Terms(
        budget=limit,
        limits=Limits.read(latency, memory),
        seeds=seeds,
        by=by,
        parameters=parameters,
        train=train,
        validation=validation,
        folds=folds,
        baselines=tuple(baselines),
        classical=None if classical is None else tuple(classical),
        sweep=sweep,
        processes=_cores() if processes is None else processes,
        resume=None if resume is None else Path(resume).expanduser(),
        progress=progress,
    )
    chosen, rows = candidates(cells, model), read(data)
    return Comparison(task, rows, exam(rows, task, origins, step, folds), chosen, terms, model).run()


def _cores() -> int:
    """Cores that this program may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name}: got {value}, want 1 or more.")


def _check_sweep(sweep: Sweep, parameters: int | None, validation: float) -> None:
    need_optuna()
    if not validation:
        raise ConfigError("sweep: trials are judged on held-out rows, so validation must be above 0.")
    if "hidden_size" in sweep.ranges and parameters is not None:
        raise ConfigError(
            "parameters: a sweep over hidden_size chooses the sizes itself: give one of the two."
        )
