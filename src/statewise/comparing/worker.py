"""Does one job: in this process, or as a program of its own (`python -m statewise.comparing.worker`).

A program of its own has its own memory to be measured, can be stopped at any time, and takes nothing with it
when it is killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from statewise.comparing import job as jobs
from statewise.comparing.folder import ResultFolder
from statewise.comparing.job import Job, Result, told
from statewise.comparing.losses import Exam, exam
from statewise.comparing.peak import with_peak
from statewise.comparing.untrained import ground, parameters
from statewise.core.config import from_mapping
from statewise.evaluation.baselines import fitting_seasons
from statewise.evaluation.comparison import classical
from statewise.evaluation.questions import first_row
from statewise.ops.threads import one_thread
from statewise.tasks.forecast import Forecast
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

ROWS, SETTING = "rows.parquet", "setting.json"


def do(job: Job, task: Forecast, paper: Exam, validation: float, alone: bool = False) -> Result:
    """The result of a job; what a competitor raises is its result, too.

    `alone` says that this process does nothing else, so that its memory can be told to be the job's.
    """
    try:
        with one_thread():
            if job.kind == jobs.CLASSICAL:
                return _classical(job, task, paper)
            if job.kind == jobs.LINEAR:
                return _linear(job, task, paper)
            return _trained(job, task, paper, validation, alone)
    except Exception as error:  # reported in the table; the others go on
        return Result(job, jobs.FAILED, told(error))


def seasons(paper: Exam) -> tuple[int, ...]:
    """The season lengths that the first history holds twice, as in `backtest`."""
    panel = paper.rows.panel
    first = int(panel.frequency.index(paper.questions.cutoffs[:1])[0])
    return fitting_seasons(panel.frequency.season_lengths, first - first_row(panel) + 1)


def _trained(job: Job, task: Forecast, paper: Exam, validation: float, alone: bool) -> Result:
    rows = paper.history(job.fold)
    settings = TrainConfig(**job.train)
    settings = replace(settings, seed=settings.seed + job.seed, time_budget=job.seconds, threads=1)
    _load_optimizer()
    wall, processor = time.perf_counter(), time.process_time()
    model, peak = with_peak(
        lambda: fit(task, rows, **job.model, train=settings, validation=validation, progress=False)
    )
    record: Mapping[str, Any] = model.training
    facts = {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": peak if alone else None,
        "steps": record["step"],
        "validation": record["best"],
        "parameters": parameters(model),
    }
    losses = None if job.kind == jobs.TRIAL else paper.losses(job.name, model, job.fold)
    cut = record["stopped"] == "time_budget" and not job.timed
    return Result(job, jobs.CUT_SHORT if cut else jobs.FINISHED, facts=facts, losses=losses)


def _load_optimizer() -> None:
    """Torch loads its compiler at the first step of any optimiser: 180 MB that are no cell's fault."""
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()


def _linear(job: Job, task: Forecast, paper: Exam) -> Result:
    begin = time.perf_counter()
    model = ground(task, paper.history(job.fold)).linear()
    facts = {"seconds": time.perf_counter() - begin}
    return Result(job, jobs.FINISHED, facts=facts, losses=paper.losses(job.name, model, job.fold))


def _classical(job: Job, task: Forecast, paper: Exam) -> Result:
    begin = time.perf_counter()
    losses = paper.losses(
        job.name, classical(job.name, paper.rows.schema, task.horizon, seasons(paper)), job.fold
    )
    return Result(job, jobs.FINISHED, facts={"seconds": time.perf_counter() - begin}, losses=losses)


def _end_with_parent() -> None:
    """Standard input is a pipe that only closes when the process behind the comparison is gone."""
    os.read(sys.stdin.fileno(), 1)  # not through the buffer, whose lock would be held when this process ends
    os._exit(1)


def main(folder: Path, job_file: Path, results: Path) -> int:
    """Do the job of `job_file` on the rows in `folder`, and leave the result in `results`."""
    setting = json.loads((folder / SETTING).read_text(encoding="utf-8"))
    task = from_mapping(Forecast, setting["task"], "task")
    origins = setting["origins"]
    if not isinstance(origins, int):
        origins = [datetime.fromisoformat(text) for text in origins]
    paper = exam(folder / ROWS, task, origins, setting["step"], setting["folds"])
    job = from_mapping(Job, json.loads(job_file.read_text(encoding="utf-8")), "job")
    result = do(job, task, paper, setting["validation"], alone=True)
    if result.usable:
        ResultFolder(results).save(result)
        return 0
    print(result.message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(*map(Path, sys.argv[1:])))
