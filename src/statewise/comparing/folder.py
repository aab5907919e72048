"""Finished jobs on disk: a comparison that was stopped goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from statewise.comparing.job import CUT_SHORT, Job, Result
from statewise.comparing.losses import load_losses
from statewise.core.errors import ConfigError
from statewise.rows.panel import Panel

_PLAN, _FORMAT = "plan.json", 1
_ENOUGH = 0.9  # of the time allowed now: a training cut short after so much is not repeated


class ResultFolder:
    """Results by job: one JSON file each, written last, and its losses beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, plan: Mapping[str, Any]) -> None:
        """Make the folder this comparison's own.

        Raises ConfigError when it holds results of other data or settings: "resume: runs holds another
        comparison (horizon: 24 there, 12 here): choose another folder, or delete that one.".
        """
        plan = {"format": _FORMAT, **plan}
        path = self.path / _PLAN
        self.path.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, json.dumps(plan, indent=1, sort_keys=True, allow_nan=False))
            return
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ConfigError(
                f"resume: {path} is not JSON: choose another folder, or delete that one."
            ) from None
        if different := _differences(there, json.loads(json.dumps(plan))):
            raise ConfigError(
                f"resume: {self.path} holds another comparison ({'; '.join(different)}): "
                "choose another folder, or delete that one."
            )

    def save(self, result: Result) -> None:
        """Keep a result that is usable; others are tried again."""
        if not result.usable:
            return
        if result.losses is not None:
            result.losses.save(self._losses(result.job))
        text = {"job": asdict(result.job), "status": result.status, "facts": dict(result.facts)}
        _write(self._file(result.job), json.dumps(text, indent=1, allow_nan=False))

    def load(self, job: Job) -> Result | None:
        """The result of an equal job; None when there is none, or when more time is allowed now."""
        path = self._file(job)
        if not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        allowed = found["job"]["seconds"]
        if found["status"] == CUT_SHORT and allowed and not 0 < _ENOUGH * job.seconds <= allowed:
            return None
        losses = load_losses(self._losses(job)) if self._losses(job).exists() else None
        return Result(job, found["status"], facts=found["facts"], losses=losses)

    def _file(self, job: Job) -> Path:
        return self.path / f"{job.key}.json"

    def _losses(self, job: Job) -> Path:
        return self.path / f"{job.key}.npz"


def fingerprint(rows: Panel) -> str:
    """A hash of every value of a panel: another row, another hash."""
    found = hashlib.sha256(f"{rows.frequency.name} {rows.clock}".encode())
    for series in rows.series:
        found.update(f"{series.id} {series.static} {dict(series.categories)}".encode())
        for part in (series.time.astype(np.int64), series.target, series.observed, series.known):
            found.update(str(part.shape).encode())
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    """All of the file or nothing of it."""
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


def _differences(there: Any, here: Any, name: str = "") -> list[str]:
    """Where two JSON values differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = sorted({*there, *here})
        parts = [_differences(there.get(k), here.get(k), f"{name}.{k}" if name else k) for k in keys]
        return [text for part in parts for text in part]
    return [] if there == here else [f"{name}: {json.dumps(there)} there, {json.dumps(here)} here"]
