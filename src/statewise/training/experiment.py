"""Experiments: one TOML file that says what to train on what, fit for version control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statewise.core.config import from_mapping, override, read_toml, to_mapping
from statewise.core.errors import ConfigError, lookup, suggestion
from statewise.training.config import TrainConfig
from statewise.training.plans.table import PLANS

SECTIONS = ("data", "task", "model", "train")
REQUIRED = ("data", "task")


@dataclass(frozen=True)
class Experiment:
    """A checked experiment; `data`, `task` and `model` are checked further by what they configure."""

    kind: str  # of the task
    data: Mapping[str, Any]
    task: Mapping[str, Any]
    model: Mapping[str, Any]
    train: TrainConfig
    folder: Path  # of the file: a relative data path starts here

    @property
    def effective(self) -> dict[str, Any]:
        """Every setting as it is used, defaults of [train] included, in plain JSON values."""
        task = {"kind": self.kind, **self.task}
        sections = {"data": dict(self.data), "task": task, "model": dict(self.model)}
        return {**sections, "train": to_mapping(self.train)}

    @property
    def data_path(self) -> Path:
        """The file named by `data.path`, seen from the experiment's folder. ConfigError for none."""
        if not isinstance(path := self.data.get("path"), str):
            raise ConfigError(f"data.path: got {path!r}, want the path of a file.")
        return self.folder / Path(path).expanduser()


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment in the TOML file `path`, changed by `overrides` such as "train.steps=200".

    Sections: [data] and [task] (its `kind` is "forecast" unless it says another), and if wanted [model] and
    [train] (the fields of TrainConfig; those left out are as in `sw.fit` for the kind, but for `steps` beside
    `epochs` or `time_budget`, which then set the end alone).
    Raises ConfigError: "runs/a.toml: no such section 'tran'. Did you mean 'train'?".
    """
    path = Path(path)
    mapping = override(read_toml(path), overrides)
    for name, section in mapping.items():
        if name not in SECTIONS:
            raise ConfigError(f"{path}: no such section '{name}'.{suggestion(name, SECTIONS)}")
        if not isinstance(section, Mapping):
            raise ConfigError(f"{path}: {name} is {section!r}, want a section [{name}] of settings.")
    for name in REQUIRED:
        if name not in mapping:
            raise ConfigError(f"{path}: section [{name}] is missing.")
    given, task = mapping.get("train", {}), dict(mapping["task"])
    kind = task.pop("kind", "forecast")
    defaults = to_mapping(lookup(PLANS, kind, "kind").train)
    if {"epochs", "time_budget"} & set(given):
        defaults["steps"] = None
    if "batch_size" in given:
        defaults["batch_tokens"] = 0  # one of the two says how large a batch is
    train = from_mapping(TrainConfig, {**defaults, **given}, f"{path}: train")
    return Experiment(kind, mapping["data"], task, mapping.get("model", {}), train, path.parent)
