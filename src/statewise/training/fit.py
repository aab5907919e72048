"""`sw.fit`: rows to a trained model, with a progress bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError
from statewise.model import Model, build, with_samples
from statewise.nn.backbone import BackboneConfig
from statewise.rows.panel import Panel, Series, panel
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_problem import ForecastProblem, Lanes
from statewise.tasks.linear_start import solve_linear
from statewise.training.config import TrainConfig
from statewise.training.loop import Progress, train as train_steps
from statewise.training.randomness import TorchStream

DEFAULT_TRAIN = TrainConfig(steps=300, batch_size=8, average=0.98, validate_every=25)
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
_SAMPLE_ROWS = 48


def fit(
    task: Forecast,
    data: Any,
    *,
    cell: str = "lstm",
    hidden_size: int = 64,
    num_layers: int = 1,
    dropout: float = 0.3,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    train: TrainConfig = DEFAULT_TRAIN,
    validation: float = 0.1,
    progress: bool = True,
    checkpoint: str | Path | None = None,
) -> Model:
    """Train a forecaster for `task` on the rows of `data` (any frame, or a path).

    `cell` is a name or a pattern ("lstm gru"). The last `validation` share of each series is held out for
    early stopping and the choice of the best weights (0: train on all rows to the last step). With
    `checkpoint`, a path, the run is saved there and goes on from there bit for bit.
    Raises DataError (rows), ConfigError (settings), TrainingError (non-finite numbers).
    """
    if not 0 <= validation < 0.9:
        raise ConfigError(f"validation: got {validation}, want a share from 0 to below 0.9.")
    backbone = BackboneConfig(cell, hidden_size, num_layers, dropout, recurrent_dropout, layer_norm)
    train = train if validation else replace(train, validate_every=0)
    rows = panel(data, task.schema)
    model, problem = _prepared(task, rows, backbone, train, validation)
    last = _run(problem, train, checkpoint, progress)
    outcome = {"config": to_mapping(train), "validation_share": validation, **_summary(last, rows)}
    return with_samples(replace(model, training=outcome), _sample_rows(model, rows))


def _prepared(
    task: Forecast, rows: Panel, backbone: BackboneConfig, train: TrainConfig, validation: float
) -> tuple[Model, ForecastProblem[Any]]:
    """The untrained model and its training problem; statistics come from `rows` alone."""
    codec = task.codec(rows)
    memory = task.memory(codec, max(map(len, rows.series)))
    with TorchStream(train.seed, torch.device("cpu")):
        forecaster = build(task, codec, memory, backbone)
    lanes = Lanes(memory.lags, max(3 * memory.lags, 256), train.batch_size, train.chunk_length)
    arrays = [codec.encode(series) for series in rows.series]
    network = forecaster.network
    problem = ForecastProblem(network, arrays, codec.layout.target, lanes, validation)
    task.start(network, problem.batches())
    return Model(task, backbone, memory, codec, forecaster), problem


def _run(
    problem: ForecastProblem[Any], config: TrainConfig, checkpoint: str | Path | None, show: bool
) -> Progress | None:
    from tqdm import tqdm

    last = None
    with tqdm(total=1000, desc="fit", disable=not show, bar_format=_BAR) as bar:
        for last in train_steps(problem, config, checkpoint):
            bar.update(round(1000 * last.done) - bar.n)
            score = "" if last.best is None else f", best validation {last.best:.4f}"
            bar.set_postfix_str(f"step {last.step}, loss {last.loss:.4f}{score}", refresh=False)
    return last


def _summary(last: Progress | None, rows: Panel) -> dict[str, Any]:
    counts = {"rows": rows.rows, "series": len(rows)}
    if last is None:  # the checkpoint of a finished run
        return counts
    keys = ("step", "loss", "best", "clipped_fraction", "elapsed", "stopped")
    return {**counts, **{key: getattr(last, key) for key in keys}}


def _sample_rows(model: Model, rows: Panel) -> list[dict[str, Any]]:
    """Training rows of one series as a live source sends them, to be replayed wherever the model is loaded."""
    series = rows.series[0].head(_SAMPLE_ROWS)
    schema, texts = rows.schema, model.codec.clock.texts(series.time)
    static = dict(zip(schema.static, series.static, strict=True))
    samples = []
    for t, text in enumerate(texts):
        row: dict[str, Any] = {schema.time: text, **static}
        for role in ("target", "observed", "known"):
            values = getattr(series, role)
            row |= {name: _cell(series, name, values[t, i]) for i, name in enumerate(getattr(schema, role))}
        ahead = series.known[t + 1 : t + 1 + model.task.horizon]
        if schema.known:
            row["future"] = {
                name: [_cell(series, name, value) for value in ahead[:, i]]
                for i, name in enumerate(schema.known)
            }
        samples.append(row)
    return samples


def _cell(series: Series, name: str, value: float) -> float | str | None:
    if value != value:
        return None
    categories = series.categories.get(name)
    return float(value) if categories is None else categories[int(value)]
