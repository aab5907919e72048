"""A comparison from its terms to its report: sizes, costs, baselines, trials, trainings, judgement."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import statewise
from statewise.comparing.candidates import Candidate
from statewise.comparing.folder import ResultFolder, fingerprint
from statewise.comparing.job import CELL, CLASSICAL, LINEAR, NOT_FINISHED, TRIAL, Job, Result
from statewise.comparing.losses import Exam, Losses
from statewise.comparing.pool import Here, Programs, Source, Work
from statewise.comparing.preparing import prepare, reference_size, sized
from statewise.comparing.report import ComparisonReport
from statewise.comparing.sweep import Chosen, Trials
from statewise.comparing.terms import Terms
from statewise.comparing.untrained import Ground, ground
from statewise.comparing.worker import ROWS, SETTING, do, seasons
from statewise.comparing.writing import Findings, write_report
from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError, MissingExtraError, StatewiseError
from statewise.evaluation.baselines import named_baselines
from statewise.evaluation.comparison import NAMES, classical
from statewise.rows.frames import as_frame
from statewise.tasks.forecast import Forecast

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} runs, {elapsed}{postfix}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that is known before the work begins; `run` does it."""

    task: Forecast
    data: Any
    paper: Exam
    chosen: Sequence[Candidate]
    terms: Terms
    shared: Mapping[str, Any]

    def run(self) -> ComparisonReport:
        """Do all of it. An interrupt goes through; what was finished is then in the folder of `resume`."""
        begun = time.monotonic()
        terms, paper = self.terms, self.paper
        notes: list[str] = []
        dumb = self._dumb()
        statistical = self._classical(notes)
        base = ground(self.task, paper.history(0))
        wanted = self._wanted(base)
        contestants = prepare(base, self.chosen, wanted)
        able = [one.candidate for one in contestants if not one.error]
        first = [Job(CLASSICAL, name, fold=fold) for name in statistical for fold in range(paper.folds)]
        if self._with_linear:
            first += [Job(LINEAR, LINEAR, fold=fold) for fold in range(paper.folds)]
        trials = terms.sweep.trials * len(able) if terms.sweep else 0
        count = len(first) + trials + len(able) * terms.seeds * paper.folds
        allowed = terms.training_seconds(count)
        with (
            self._workplace(allowed, begun, terms.patience(count)) as (results, work),
            self._bar(count) as bar,
        ):
            sweep: dict[str, Chosen] = {}
            if terms.sweep is not None:
                source = Trials(terms.sweep, able, lambda c: self._job(TRIAL, _fit(base, c, wanted), allowed))
                work.run(_Watched(source, results, bar))
                sweep = source.chosen()
                contestants = prepare(base, [_after(one, sweep) for one in self.chosen], wanted)
                able = [one.candidate for one in contestants if not one.error]
            found = _done([*first, *self._trainings(able, allowed)], work, results, bar)
        facts = Findings(
            contestants, dumb, found, sweep, wanted, allowed, time.monotonic() - begun, tuple(notes)
        )
        return write_report(self.task, paper, terms, facts)

    def _dumb(self) -> dict[str, Losses]:
        """The baselines that need no fitting, answered here."""
        schema, horizon, paper = self.paper.rows.schema, self.task.horizon, self.paper
        names = [name for name in self.terms.baselines if name != LINEAR]
        made = named_baselines(names, schema, horizon, seasons(paper))
        taken = {*made, LINEAR, *NAMES} & {one.name for one in self.chosen}
        if taken:
            raise ConfigError(f"cells: the name '{min(taken)}' is a baseline's: choose another.")
        whole = replace(paper, folds=1)
        return {name: whole.losses(name, forecaster, 0) for name, forecaster in made.items()}

    def _classical(self, notes: list[str]) -> tuple[str, ...]:
        """The models of statsforecast to run; none, with a note, where it is not installed nor asked for."""
        names = self.terms.classical
        if names is None:
            if find_spec("statsforecast") is not None:
                return NAMES
            missing = MissingExtraError("Classical baselines: each", "statsforecast", "compare")
            notes.append(f"{missing}. They were left out.")
            return ()
        for name in names:
            classical(name, self.paper.rows.schema, self.task.horizon, seasons(self.paper))
        return names

    @property
    def _with_linear(self) -> bool:
        """A model that reads a window of segments has no linear readout to start from."""
        return LINEAR in self.terms.baselines and self.task.lookback is None

    def _wanted(self, base: Ground) -> int | None:
        """How many weights every cell is to have."""
        if not self.terms.equal_sizes:
            return None
        return self.terms.parameters or reference_size(base, self.shared)

    def _trainings(self, able: Sequence[Candidate], allowed: float) -> list[Job]:
        """All trainings, seed by seed, so that the end of the budget cuts off the same for all."""
        return [
            self._job(CELL, candidate, allowed, seed, fold)
            for seed in range(self.terms.seeds)
            for fold in range(self.paper.folds)
            for candidate in able
        ]

    def _job(self, kind: str, candidate: Candidate, allowed: float, seed: int = 0, fold: int = 0) -> Job:
        timed = self.terms.by == "time"
        train = {**to_mapping(self.terms.train), **candidate.train}
        if timed:
            train |= {"steps": None, "epochs": None}
        return Job(kind, candidate.name, seed, fold, dict(candidate.model), train, allowed, timed)

    @contextmanager
    def _workplace(
        self, allowed: float, begun: float, patience: float
    ) -> Iterator[tuple[ResultFolder, Work]]:
        """Where results are kept and how jobs are done, until the budget ends."""
        terms, task, paper = self.terms, self.task, self.paper
        deadline = math.inf if terms.budget is None else begun + terms.budget
        with tempfile.TemporaryDirectory(prefix="statewise-compare-") as name:
            folder = Path(name)
            results = ResultFolder(terms.resume or folder / "results")
            results.claim(self._plan(allowed))
            if not terms.processes:
                yield results, Here(lambda job: do(job, task, paper, terms.validation), results, deadline)
                return
            as_frame(self.data).to_polars().write_parquet(folder / ROWS)
            setting = {
                "task": to_mapping(task),
                "origins": [paper.rows.written(cutoff).isoformat() for cutoff in paper.questions.cutoffs],
                "step": paper.step,
                "folds": paper.folds,
                "validation": terms.validation,
            }
            (folder / SETTING).write_text(json.dumps(setting), encoding="utf-8")
            yield results, Programs(folder, results, terms.processes, deadline, patience)

    def _plan(self, allowed: float) -> dict[str, Any]:
        """What all results of a folder must have in common."""
        timed = self.terms.by == "time"
        return {
            "statewise": statewise.__version__,
            "data": fingerprint(self.paper.rows.panel),
            "task": to_mapping(self.task),
            "cutoffs": [str(cutoff) for cutoff in self.paper.questions.cutoffs],
            "folds": self.paper.folds,
            "validation": self.terms.validation,
            "by": self.terms.by,
            "train_seconds": round(allowed, 3) if timed else None,
        }

    @contextmanager
    def _bar(self, total: int) -> Iterator[Any]:
        from tqdm.auto import tqdm

        hide = None if self.terms.progress else True  # None: a bar in a terminal, nothing in a log file
        with tqdm(total=total, desc="compare", disable=hide, bar_format=_BAR, dynamic_ncols=True) as bar:
            yield bar


@dataclass
class _Queue:
    """Jobs in order, and what came of them."""

    jobs: list[Job]
    results: list[Result] = field(default_factory=list)

    def take(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def give(self, result: Result) -> None:
        self.results.append(result)


@dataclass(frozen=True)
class _Watched:
    """A source whose jobs are looked up among the kept results first, and counted on a bar."""

    source: Source
    kept: ResultFolder
    bar: Any

    def take(self) -> Job | None:
        while (job := self.source.take()) is not None:
            if (known := self.kept.load(job)) is None:
                self.bar.set_postfix_str(f"{job.name}, seed {job.seed}" if job.kind == CELL else job.name)
                return job
            self.give(known)
        return None

    def give(self, result: Result) -> None:
        self.source.give(result)
        self.bar.update(1)


def _done(wanted: Sequence[Job], work: Work, kept: ResultFolder, bar: Any) -> list[Result]:
    """What came of the jobs; one that was never begun is not finished."""
    queue = _Queue(list(wanted))
    work.run(_Watched(queue, kept, bar))
    left = [kept.load(job) or Result(job, NOT_FINISHED, "the budget was spent") for job in queue.jobs]
    return [*queue.results, *left]


def _after(candidate: Candidate, sweep: Mapping[str, Chosen]) -> Candidate:
    """The candidate with what its sweep chose."""
    chosen = sweep.get(candidate.name)
    return candidate if chosen is None else candidate.changed(chosen.settings, "sweep")


def _fit(base: Ground, candidate: Candidate, wanted: int | None) -> Candidate:
    """The candidate of a trial in its size; one that cannot be built fails as a job."""
    try:
        return sized(base, candidate, wanted)
    except StatewiseError:
        return candidate
