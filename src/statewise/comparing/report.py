"""The result of a comparison: a frame, a table, a picture and a recommendation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from statewise.comparing import table
from statewise.comparing.candidates import split
from statewise.comparing.entry import Entry
from statewise.comparing.job import LINEAR
from statewise.comparing.picture import draw
from statewise.comparing.untrained import linear_model
from statewise.core.config import from_mapping
from statewise.core.errors import ConfigError, lookup
from statewise.models.forecast import ForecastModel
from statewise.tasks.forecast import Forecast
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

_FORMAT = 1


@dataclass(frozen=True, repr=False, eq=False)
class ComparisonReport:
    """What `compare` found. Printing it gives the table and the recommendation.

    Losses are MASE, as in `backtest`, or MAE where no series has a scale.
    """

    entries: tuple[Entry, ...]
    """Cells and baselines, the least loss first; those without a score at the end."""
    recommendation: str
    """Plain sentences: what to use, and what speaks against the others."""
    recommended: str
    """The name of the entry to use; a baseline where no cell beats it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was asked and how, JSON-plain: origins, horizon, unit, seeds, limits, budget, sweep …"""
    notes: tuple[str, ...] = ()
    """What a reader must know."""

    def __getitem__(self, name: str) -> Entry:
        """The entry of a cell or baseline. Raises ConfigError for an unknown name."""
        return lookup({entry.name: entry for entry in self.entries}, name, "entry")

    def fit_settings(self, name: str | None = None) -> dict[str, Any]:
        """Settings of an entry for `sw.fit` and `TrainConfig` (default: the one to use); {} of a baseline."""
        return dict(self[name or self.recommended].settings)

    def fit(self, data: Any, name: str | None = None, progress: bool = True) -> ForecastModel:
        """The entry (default: the one to use) trained on all of `data`, with the settings it was judged by.

        Raises ConfigError for a baseline other than "linear": those are rules, not models.
        """
        entry = self[name or self.recommended]
        task = from_mapping(Forecast, self.settings["task"], "task")
        if entry.name == LINEAR and not entry.is_cell:
            return linear_model(task, data)
        if not entry.is_cell:
            raise ConfigError(f"{entry.name}: a baseline is a rule and no model, so there is nothing to fit.")
        model, train = split(entry.settings, entry.name)
        settings = from_mapping(TrainConfig, {**self.settings["train"], **train}, "train")
        if self.settings["by"] == "time":
            settings = replace(settings, steps=None, epochs=None, time_budget=self.settings["train_seconds"])
        validation = self.settings["validation"]
        fitted: ForecastModel = fit(
            task, data, **model, train=settings, validation=validation, progress=progress
        )
        return fitted

    def frame(self) -> pl.DataFrame:
        """One row per entry, in SI units: seconds and bytes."""
        numbers = dict.fromkeys(_NUMBERS, pl.Float64)
        rows = [_row(entry) for entry in self.entries]
        return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=numbers)

    def table(self) -> str:
        """The entries as text with aligned columns."""
        return table.text_table(self)

    def to_markdown(self) -> str:
        """Table and recommendation as Markdown."""
        return table.markdown(self)

    def __str__(self) -> str:
        return f"{self.table()}\n\n{self.recommendation}"

    __repr__ = __str__

    def to_mapping(self) -> dict[str, Any]:
        """Everything as JSON-plain values."""
        return {
            "format": _FORMAT,
            "recommended": self.recommended,
            "recommendation": self.recommendation,
            "settings": dict(self.settings),
            "entries": [_plain(asdict(entry)) for entry in self.entries],
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> Path:
        """Write everything to a .json file and return its path."""
        text = json.dumps(self.to_mapping(), indent=1, ensure_ascii=False, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")
        return Path(path)

    def plot(self, path: str | Path) -> Path:
        """Draw loss against step latency and against state bytes to `path` (.png, .svg, .pdf).

        Raises MissingExtraError without matplotlib (extra `plot`).
        """
        return draw(self, Path(path))


def _row(entry: Entry) -> dict[str, Any]:
    gap = entry.gap
    return {
        "name": entry.name,
        "kind": "cell" if entry.is_cell else "baseline",
        "status": entry.status,
        "seeds": entry.seeds,
        "loss": entry.loss.mean,
        "loss_deviation": entry.loss.deviation,
        "mae": entry.mae.mean,
        "mae_deviation": entry.mae.deviation,
        "crps": entry.crps.mean,
        "crps_deviation": entry.crps.deviation,
        "coverage_80": entry.coverage_80,
        "difference": _plain(gap.mean) if gap else None,
        "difference_95": _plain(gap.half_width) if gap else None,
        "p": entry.p,
        "hidden_size": entry.settings.get("hidden_size"),
        **{name: getattr(entry, name) for name in _COSTS},
        "within_limits": not entry.over_limits if entry.is_cell else None,
        "message": entry.message or "; ".join(entry.over_limits),
    }


_NUMBERS = (
    *("loss", "loss_deviation", "mae", "mae_deviation", "crps", "crps_deviation", "coverage_80"),
    *("difference", "difference_95", "p", "train_seconds", "train_processor_seconds", "step_seconds"),
)
_COSTS = (
    "parameters",
    "train_seconds",
    "train_processor_seconds",
    "train_steps",
    "peak_bytes",
    "step_seconds",
    "state_bytes",
    "weight_bytes",
)


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
