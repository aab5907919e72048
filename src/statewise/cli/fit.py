"""`statewise fit EXPERIMENT`: one TOML file to one trained model."""

from __future__ import annotations

import argparse
import inspect
import shlex
from dataclasses import dataclass, field, make_dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from statewise.cli.arguments import note, output_file, read_rows
from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError

if TYPE_CHECKING:
    from statewise.models.forecast import ForecastModel
    from statewise.training.experiment import Experiment

DAY = 86_400  # seconds
_NOT_IN_MODEL = {"task", "data", "train", "progress", "checkpoint"}


@dataclass(frozen=True)
class DataSettings:
    """[data]: the rows to train on. One of `path` (seen from the experiment's folder) and `dataset`.

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


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "fit",
        help="train a forecaster as an experiment file says",
        description="Trains a forecaster as the TOML file EXPERIMENT says: [data], [task] (sw.Forecast), "
        "[model] (sw.fit) and [train] (sw.TrainConfig). Settings may be changed at the prompt: "
        "train.steps=200 model.cell=gru.",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="a TOML file")
    parser.add_argument(
        "settings", metavar="KEY=VALUE", nargs="*", default=[], help="settings that change the file's"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=output_file(".sw"), default=Path("model.sw"), help="default: model.sw"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=output_file(),
        help="save the run there; the same command goes on from it",
    )
    parser.add_argument(
        "--onnx",
        action=argparse.BooleanOptionalAction,
        help="save the live step as a graph too, to stream without torch (default: with the extra onnx)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, save, and say what came of it."""
    from statewise.training.experiment import load_experiment

    experiment = load_experiment(args.experiment, args.settings)
    model = _trained(experiment, Path(args.experiment), args.checkpoint)
    print(_summary(model))
    model.save(args.out, args.onnx)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, model {model.bundle.model_hash}")
    print(f"next: statewise backtest {shlex.quote(str(args.out))} DATA")
    return 0


def _trained(experiment: Experiment, path: Path, checkpoint: Path | None) -> ForecastModel:
    """The trained model, with the effective experiment in its training record."""
    from statewise.tasks.forecast import Forecast
    from statewise.training.fit import fit

    settings = from_mapping(DataSettings, experiment.data, f"{path}: data")
    task = from_mapping(Forecast, experiment.task, f"{path}: task")
    told = to_mapping(from_mapping(model_settings(), experiment.model, f"{path}: model"))
    options = {name: value for name, value in told.items() if value is not None}
    rows = _rows(settings, experiment.folder, task.time)
    try:
        model: ForecastModel = fit(task, rows, train=experiment.train, checkpoint=checkpoint, **options)
    except KeyboardInterrupt:
        if checkpoint is not None and checkpoint.exists():
            note(f"the run is kept in {checkpoint}: the same command goes on from there.")
        raise
    for finding in model.codec.panel(rows).findings:
        note(str(finding))
    used = {**options, **to_mapping(model.backbone)}
    sections = {"data": to_mapping(settings), "task": to_mapping(task), "model": used}
    effective = {**experiment.effective, **sections}
    return replace(model, training={**model.training, "experiment": effective})


def model_settings() -> type[Any]:
    """[model] as a dataclass: what `sw.fit` can be told about the network and the held-out share."""
    from statewise.training.fit import fit

    hints = get_type_hints(fit)
    options = [
        (name, hints[name], field(default_factory=partial(_same, parameter.default)))
        for name, parameter in inspect.signature(fit).parameters.items()
        if name not in _NOT_IN_MODEL
    ]
    return make_dataclass("ModelSettings", options, frozen=True)


def _same(value: Any) -> Any:
    return value


def _rows(settings: DataSettings, folder: Path, time: str) -> Any:
    """The training rows."""
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


def _summary(model: ForecastModel) -> str:
    """What was trained, on what, and how it went, in one or two lines."""
    record, task = model.training, model.task
    counted = f"{record['rows']:,} rows" + (f" of {record['series']} series" if record["series"] > 1 else "")
    targets = " and ".join(task.schema.target)
    head = f"{targets}, {task.horizon} steps of {model.codec.frequency.name} ahead: {model.backbone.cell}"
    text = f"{head}, {model.backbone.num_layers} × {model.backbone.hidden_size}, {counted}"
    if "step" not in record:
        return text
    best = "" if record["best"] is None else f", best validation {record['best']:.4f}"
    return f"{text}\n{record['step']} steps in {record['elapsed']:.0f} s (ended by {record['stopped']}){best}"
