"""Training with the settings of a benchmark, and the settings that were in effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

import statewise as sw
from benchmarks.recording import timed
from statewise.core.config import to_mapping
from statewise.training.config import DEFAULT_TRAIN

QUICK_STEPS = 10
_OUTCOME = ("step", "best", "clipped_fraction", "stopped")


@dataclass(frozen=True)
class Fitted:
    """A model, its seed, and what its training took in seconds."""

    model: sw.Model
    seed: int
    cpu: float
    wall: float

    @property
    def outcome(self) -> dict[str, Any]:
        """How training ended."""
        return {key: self.model.training[key] for key in _OUTCOME if key in self.model.training}


def fitted(settings: Mapping[str, Any], data: pl.DataFrame, seed: int, quick: bool, **task: Any) -> Fitted:
    """A model trained with `settings` (task, fit, train); `task` adds to its task. Imports are not timed."""
    short = {"steps": QUICK_STEPS} if quick else {}
    train = replace(DEFAULT_TRAIN, **{**settings["train"], **short, "seed": seed})
    what = sw.Forecast(**{**settings["task"], **task})
    run = timed(lambda: sw.fit(what, data, train=train, progress=False, **settings["fit"]))
    return Fitted(run.found, seed, run.cpu, run.wall)


def effective(model: sw.Model) -> dict[str, Any]:
    """Every setting the model was made with, defaults included; seeds are listed by the runs."""
    training = dict(model.training["config"])
    training.pop("seed")
    return {
        "task": to_mapping(model.task),
        "backbone": to_mapping(model.backbone),
        "memory": to_mapping(model.memory),
        "train": training,
        "validation_share": model.training["validation_share"],
        "parameters": sum(weight.numel() for weight in model.forecaster.parameters()),
    }


def seeds_of(seeds: Sequence[int], quick: bool) -> Sequence[int]:
    """All seeds, or one in a quick run."""
    return seeds[:1] if quick else seeds
