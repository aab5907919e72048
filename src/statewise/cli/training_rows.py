"""[data] of an experiment: which rows to train on, and which to validate and to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from statewise.cli.arguments import read_rows
from statewise.core.errors import ConfigError

DAY = 86_400  # seconds


@dataclass(frozen=True)
class DataSettings:
    """[data] of a forecast: the training rows, at `path` (seen from the experiment's folder) or a `dataset`.

    `every` averages a data set over such periods ("1h"). Rows after `until` (a time, or a day, which counts
    whole) are left out, so that they can test the model. Empty text is the same as leaving a setting out.
    """

    path: str | None = None
    dataset: str | None = None
    every: str | None = None
    until: str | date | None = None

    def __post_init__(self) -> None:
        for name in ("path", "dataset", "every", "until"):
            value = getattr(self, name)
            text = value.isoformat() if isinstance(value, date) else value
            object.__setattr__(self, name, text or None)
        if self.path and self.dataset:
            raise ConfigError("data: got both path and dataset, want one (data.dataset= takes it out).")
        if not self.path and not self.dataset:
            raise ConfigError('data: got neither path nor dataset, want one, such as path = "rows.parquet".')
        if self.every and not self.dataset:
            raise ConfigError("data.every: is for a dataset; average the rows of a file beforehand.")


@dataclass(frozen=True)
class TextSettings:
    """[data] of the other kinds: files, seen from the experiment's folder; two of parallel text as a list.

    `path` holds the training rows, `validation` those that choose the weights (without it a share of `path`,
    see [model]), `test` those that the finished model is scored on.
    """

    path: str | Sequence[str]
    validation: str | Sequence[str] = ""
    test: str | Sequence[str] = ""


def forecast_rows(settings: DataSettings, folder: Path, time: str) -> Any:
    """The training rows of a forecaster."""
    from statewise.data import datasets

    if settings.dataset is not None:
        frame = datasets.load(settings.dataset, every=settings.every)
    else:
        frame = read_rows(str(folder / Path(settings.path or "").expanduser()))
    return rows_until(frame, time, str(settings.until)) if settings.until else frame


def rows_until(frame: Any, time: str, until: str) -> Any:
    """The rows up to `until`, which is read on the clock of the rows."""
    from statewise.rows.clock import Clock
    from statewise.rows.frames import as_frame, require, stamps

    rows = as_frame(frame)
    require(rows, [("time", time)])
    column = stamps(rows[time])
    whole_day = len(until) == len("2024-05-01")
    last = Clock(column.zone).seconds(until, None, "data.until") + (DAY - 1 if whole_day else 0)
    kept = column.seconds <= last
    if not kept.any():
        raise ConfigError(f"data.until: no row is at or before {until}.")
    return rows.filter(kept.tolist()).to_native()


def text_files(given: str | Sequence[str], folder: Path) -> Any:
    """The path of a file, or the paths of parallel text; None where nothing is given."""
    if isinstance(given, str):
        return folder / Path(given).expanduser() if given else None
    return tuple(folder / Path(name).expanduser() for name in given) or None
