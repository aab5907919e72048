"""`statewise fit EXPERIMENT`: one TOML file to one trained model."""

from __future__ import annotations

import argparse
import inspect
import shlex
from dataclasses import field, make_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from statewise.cli.arguments import note, output_file
from statewise.cli.kinds import FORECAST
from statewise.cli.training_rows import DataSettings, TextSettings, forecast_rows, text_files
from statewise.core.config import from_mapping, to_mapping

if TYPE_CHECKING:
    from statewise.models.model import Model
    from statewise.training.experiment import Experiment

_NOT_IN_MODEL = {"task", "data", "train", "progress", "checkpoint"}


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "fit",
        help="train a model as an experiment file says",
        description="Trains a model as the TOML file EXPERIMENT says: [data], [task], [model] (sw.fit) and "
        "[train] (sw.TrainConfig). The task's kind is forecast (sw.Forecast) unless it says kind = "
        '"classify", "tag", "generate" or "translate". Settings may be changed at the prompt: '
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
        "--start",
        metavar="MODEL",
        type=Path,
        help="start from the weights of this trained model, where they fit (or start = in [model])",
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
    if args.start is not None:
        experiment = replace(experiment, model={**experiment.model, "start": str(args.start.resolve())})
    trained = _forecaster if experiment.kind == FORECAST else _other
    model, test = trained(experiment, Path(args.experiment), args.checkpoint)
    model.save(args.out, args.onnx)
    print(_summary(model))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, model {model.bundle.model_hash}")
    if test is not None:
        _print_scores(model, experiment, test)
    print(f"next: {_next(model, shlex.quote(str(args.out)))}")
    return 0


def _forecaster(experiment: Experiment, path: Path, checkpoint: Path | None) -> tuple[Model, None]:
    """The trained forecaster."""
    from statewise.models.forecast import ForecastModel
    from statewise.tasks.forecast import Forecast

    settings = from_mapping(DataSettings, experiment.data, f"{path}: data")
    task = from_mapping(Forecast, experiment.task, f"{path}: task")
    options = _options(experiment, path)
    rows = forecast_rows(settings, experiment.folder, task.time)
    model = _fitted(task, rows, experiment, checkpoint, options)
    assert isinstance(model, ForecastModel)
    for finding in model.codec.panel(rows).findings:
        note(str(finding))
    return _recorded(model, experiment, settings, options), None


def _other(experiment: Experiment, path: Path, checkpoint: Path | None) -> tuple[Model, Any]:
    """The trained model of another kind, and the rows to score it on, where there are any."""
    from statewise.tasks.table import TASKS

    settings = from_mapping(TextSettings, experiment.data, f"{path}: data")
    task = from_mapping(TASKS[experiment.kind], experiment.task, f"{path}: task")
    options = _options(experiment, path)
    files = {
        name: text_files(getattr(settings, name), experiment.folder)
        for name in ("path", "validation", "test")
    }
    if files["validation"] is not None:
        options["validation"] = files["validation"]
    if files["test"] is not None:
        task.rows(files["test"])  # refused before the training, not after it
    model = _fitted(task, files["path"], experiment, checkpoint, options)
    if cut := model.training.get("cut"):
        note(f"{cut:,} training rows are longer than max_length={task.max_length}: their rest is not read.")
    shown = {name: value for name, value in options.items() if name != "validation" or files[name] is None}
    return _recorded(model, experiment, settings, shown), files["test"]


def _options(experiment: Experiment, path: Path) -> dict[str, Any]:
    """[model]: what is told to `sw.fit`."""
    told = to_mapping(from_mapping(model_settings(), experiment.model, f"{path}: model"))
    return {name: value for name, value in told.items() if value is not None}


def _fitted(
    task: Any, rows: Any, experiment: Experiment, checkpoint: Path | None, options: dict[str, Any]
) -> Model:
    from statewise.training.fit import fit

    if "start" in options:
        options = {**options, "start": experiment.folder / Path(options["start"]).expanduser()}
    try:
        model: Model = fit(task, rows, train=experiment.train, checkpoint=checkpoint, **options)
    except KeyboardInterrupt:
        if checkpoint is not None and checkpoint.exists():
            note(f"the run is kept in {checkpoint}: the same command goes on from there.")
        raise
    return model


def _recorded(model: Model, experiment: Experiment, settings: Any, options: dict[str, Any]) -> Model:
    """The model with the effective experiment in its training record."""
    used = {**options, **to_mapping(model.backbone)}
    if "start" in used:  # where it lay is nobody's business once it was read
        used["start"] = Path(used["start"]).name
    task = {"kind": experiment.kind, **to_mapping(model.task)}
    sections = {"data": to_mapping(settings), "task": task, "model": used}
    effective = {**experiment.effective, **sections}
    return replace(model, training={**model.training, "experiment": effective})


def model_settings() -> type[Any]:
    """[model] as a dataclass: what `sw.fit` can be told about the network and the held-out share."""
    from statewise.training.fit import fit

    hints = {**get_type_hints(fit), "start": str | None}  # a path, seen from the experiment's folder
    options = [
        (name, hints[name], field(default_factory=partial(_same, parameter.default)))
        for name, parameter in inspect.signature(fit).parameters.items()
        if name not in _NOT_IN_MODEL
    ]
    return make_dataclass("ModelSettings", options, frozen=True)


def _same(value: Any) -> Any:
    return value


def _summary(model: Model) -> str:
    """What was trained, on what, and how it went, in one or two lines."""
    record = model.training
    text = (
        f"{_head(model)}: {model.backbone.cell}, {model.backbone.num_layers} × {model.backbone.hidden_size}"
    )
    unit = "rows" if "rows" in record else "items"
    text += f", {record[unit]:,} {unit}"
    if record.get("series", 1) > 1:
        text += f" of {record['series']} series"
    if held := record.get(f"validation_{unit}"):
        text += f" ({held:,} more held out)"
    if "step" not in record:
        return text
    best = "" if record["best"] is None else f", best validation {record['best']:.4f}"
    return f"{text}\n{record['step']} steps in {record['elapsed']:.0f} s (ended by {record['stopped']}){best}"


def _head(model: Model) -> str:
    """What a model answers."""
    from statewise.models.forecast import ForecastModel

    if not isinstance(model, ForecastModel):
        return model.kind
    targets = " and ".join(model.task.schema.target)
    return f"{targets}, {model.task.horizon} steps of {model.codec.frequency.name} ahead"


def _next(model: Model, path: str) -> str:
    """What to do with a model."""
    if model.kind == FORECAST:
        return f"statewise backtest {path} DATA"
    reads_numbers = model.kind == "classify" and bool(model.task.values)
    asked = "DATA" if reads_numbers else '--text "…"'
    return f"statewise predict {path} {asked}, or statewise evaluate {path} DATA"


def _print_scores(model: Model, experiment: Experiment, test: Any) -> None:
    """The scores on the rows of data.test."""
    from statewise.evaluation.evaluate import evaluate

    train = text_files(experiment.data["path"], experiment.folder)
    print(f"\n{evaluate(model, test, train=train)}\n")
