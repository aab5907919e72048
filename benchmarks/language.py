"""Training a language model that may be stopped at any time: its checkpoint and its processor time."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import statewise as sw
from statewise.models.generate import GenerateModel
from statewise.training import train as train_steps
from statewise.training.plans.generate import GeneratePlan


class Trained(NamedTuple):
    """A model, and how training went: step, best (nats), cpu_minutes."""

    model: GenerateModel
    outcome: dict[str, Any]


def trained(plan: GeneratePlan, stem: Path, device: str = "cpu") -> Trained:
    """The plan's only model. `stem`.checkpoint is gone on from, `stem`.seconds adds up the processor time."""
    checkpoint, ledger = stem.with_suffix(".checkpoint"), stem.with_suffix(".seconds")
    stem.parent.mkdir(parents=True, exist_ok=True)
    before = float(ledger.read_text(encoding="utf-8")) if ledger.is_file() else 0.0
    began, outcome = time.process_time(), dict[str, Any]()
    (problem,) = plan.problems()
    problem.network.to(device)
    for now in train_steps(problem, plan.settings.train, checkpoint):
        spent = before + time.process_time() - began
        outcome = {"step": now.step, "best": now.best, "elapsed": now.elapsed}
        if now.validation is not None or now.step % 100 == 0 or now.stopped:
            ledger.write_text(str(spent), encoding="utf-8")
            score = "" if now.validation is None else f", validation {math.exp(now.validation):.2f}"
            print(f"step {now.step}, {now.done:.1%}, {spent / 60:.1f} CPU min{score}", flush=True)
    problem.network.to("cpu")
    if not outcome:  # the checkpoint of a finished run
        spent = before
    model = plan.model(outcome)
    model.save(stem.with_suffix(".sw"), onnx=False)
    return Trained(model, {**outcome, "cpu_minutes": spent / 60})


def finished(stem: Path) -> Trained | None:
    """What `trained` made earlier, if it came to its end."""
    saved, ledger = stem.with_suffix(".sw"), stem.with_suffix(".seconds")
    if not saved.is_file() or not ledger.is_file():
        return None
    model = sw.load(saved)
    assert isinstance(model, GenerateModel)
    minutes = float(ledger.read_text(encoding="utf-8")) / 60
    return Trained(model, {**model.training, "cpu_minutes": minutes})
