"""From results to the report: entries, the best baseline, differences, advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from statewise.comparing.candidates import DEFAULTS, Candidate
from statewise.comparing.entry import Entry, Runs, scores
from statewise.comparing.job import CELL, FAILED, FINISHED, Result
from statewise.comparing.judgement import Judge, holm
from statewise.comparing.losses import Exam, Losses, shown_cutoffs
from statewise.comparing.preparing import Contestant
from statewise.comparing.recommendation import advise
from statewise.comparing.report import ComparisonReport
from statewise.comparing.sweep import Chosen
from statewise.comparing.terms import Terms
from statewise.core.config import to_mapping
from statewise.tasks.forecast import Forecast

_SHOWN = ("cell", "hidden_size", "num_layers", "dropout")  # settings that are always told


@dataclass(frozen=True, eq=False)
class Findings:
    """What the work brought."""

    contestants: Sequence[Contestant]
    dumb: Mapping[str, Losses]
    results: Sequence[Result]
    sweep: Mapping[str, Chosen]
    parameters: int | None
    training_seconds: float
    seconds: float
    notes: tuple[str, ...]


def write_report(task: Forecast, paper: Exam, terms: Terms, found: Findings) -> ComparisonReport:
    """The report of a comparison."""
    judge = Judge(paper.questions, -(-paper.questions.horizon // paper.step))
    losses: dict[str, list[Losses]] = {name: [one] for name, one in found.dumb.items()}
    entries = [Entry(name, False, FINISHED, **scores([one], judge)) for name, one in found.dumb.items()]
    for name in dict.fromkeys(result.job.name for result in found.results if result.job.kind != CELL):
        runs = _runs(name, False, found.results, paper.folds)
        losses[name] = runs.losses
        status, message = runs.status(paper.folds)
        entries.append(Entry(name, False, status, message, **scores(runs.losses, judge)))
    for contestant in found.contestants:
        runs = _runs(contestant.candidate.name, True, found.results, paper.folds)
        losses[runs.name] = runs.losses
        entries.append(_cell(contestant, runs, judge, terms))
    entries, rival = _compared(entries, losses, judge)
    advice = advise(entries, rival, judge.unit, lambda a, b: judge.gap(losses[a], losses[b]))
    return ComparisonReport(
        entries=tuple(entries),
        recommendation=advice.text,
        recommended=advice.name,
        settings={
            **_asked(task, paper, terms, found),
            "unit": judge.unit,
            "rival": rival.name if rival else None,
        },
        notes=_notes(paper, terms, found),
    )


def _runs(name: str, is_cell: bool, results: Sequence[Result], folds: int) -> Runs:
    mine = [result for result in results if result.job.name == name and (result.job.kind == CELL) == is_cell]
    return Runs(name, is_cell, tuple(mine), folds)


def _cell(contestant: Contestant, runs: Runs, judge: Judge, terms: Terms) -> Entry:
    candidate, cost = contestant.candidate, contestant.cost
    status, message = runs.status(terms.seeds * runs.folds)
    if contestant.error:
        status, message = FAILED, contestant.error
    steps, peak = runs.fact("steps"), runs.fact("peak_bytes")
    return Entry(
        candidate.name,
        True,
        status,
        message,
        **scores(runs.losses, judge),
        settings=_settings(candidate),
        parameters=contestant.parameters,
        train_seconds=runs.fact("seconds"),
        train_processor_seconds=runs.fact("processor_seconds"),
        train_steps=None if steps is None else round(steps),
        peak_bytes=None if peak is None else round(peak),
        step_seconds=cost.step if cost else None,
        state_bytes=cost.state_bytes if cost else None,
        weight_bytes=cost.weight_bytes if cost else None,
        over_limits=terms.limits.broken_by(cost) if cost else (),
    )


def _settings(candidate: Candidate) -> dict[str, Any]:
    """What to tell `sw.fit` and `TrainConfig` to get this cell: whatever differs from their defaults."""
    told = {k: v for k, v in candidate.model.items() if k in _SHOWN or v != DEFAULTS[k]}
    return {**told, **candidate.train}


def _compared(
    entries: Sequence[Entry], losses: Mapping[str, Sequence[Losses]], judge: Judge
) -> tuple[list[Entry], Entry | None]:
    """The entries, best first, each with its difference to the best baseline; and that baseline."""
    ordered = sorted(entries, key=lambda entry: (not entry.scored, entry.loss.mean or 0.0))
    rival = next((entry for entry in ordered if entry.scored and not entry.is_cell), None)
    if rival is None:
        return ordered, None
    gaps = {
        entry.name: judge.gap(losses[entry.name], losses[rival.name])
        for entry in ordered
        if entry.scored and entry.name != rival.name
    }
    corrected = holm({e.name: gaps[e.name].p for e in ordered if e.is_cell and e.name in gaps})
    with_gaps = [replace(e, gap=gaps.get(e.name), p=corrected.get(e.name)) for e in ordered]
    return with_gaps, rival


def _asked(task: Forecast, paper: Exam, terms: Terms, found: Findings) -> dict[str, Any]:
    """The question and the way it was answered, JSON-plain."""
    panel = paper.rows.panel
    swept = {
        name: {
            "settings": dict(chosen.settings),
            "validation": chosen.validation,
            "before": chosen.before,
            "trials": chosen.trials,
        }
        for name, chosen in found.sweep.items()
    }
    return {
        "task": to_mapping(task),
        "cells": len(found.contestants),
        "by": terms.by,
        "parameters": found.parameters,
        "train": to_mapping(terms.train),
        "train_seconds": found.training_seconds or None,
        "validation": terms.validation,
        "seeds": terms.seeds,
        "folds": paper.folds,
        "origins": len(paper.questions.cutoffs),
        "cutoffs": list(shown_cutoffs(paper.questions, panel.clock)),
        "step": paper.step,
        "horizon": paper.questions.horizon,
        "series": len(paper.questions.series),
        "frequency": panel.frequency.name,
        "season_length": paper.questions.season_length,
        "budget": terms.budget,
        "latency": terms.limits.latency,
        "memory": terms.limits.memory,
        "processes": terms.processes,
        "seconds": found.seconds,
        "sweep": swept,
    }


def _notes(paper: Exam, terms: Terms, found: Findings) -> tuple[str, ...]:
    swept = [_swept(name, chosen) for name, chosen in found.sweep.items()]
    sizes = []
    if terms.by == "parameters" and not terms.equal_sizes:
        sizes.append("The sweep chose the hidden sizes, so the cells do not have equal numbers of weights.")
    findings = [str(finding) for finding in paper.rows.panel.findings]
    return (*found.notes, *sizes, *swept, *paper.notes, *findings)


def _swept(name: str, chosen: Chosen) -> str:
    settings = ", ".join(f"{key} {_digits(value)}" for key, value in chosen.settings.items())
    before = f", {chosen.before:.4f} with the settings it came with" if chosen.before is not None else ""
    trials = f"{chosen.trials} trials" if chosen.trials != 1 else "1 trial"
    return f"Sweep of {name}: {settings} (validation loss {chosen.validation:.4f} after {trials}{before})."


def _digits(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
