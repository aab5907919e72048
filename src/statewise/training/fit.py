"""`sw.fit`: rows to a trained model, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from statewise.cells.start import Initial
from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError
from statewise.model import Model, build, with_samples
from statewise.nn.backbone import NO_OPTIONS, BackboneConfig
from statewise.nn.memory import parse_memory
from statewise.rows.panel import Panel, panel
from statewise.rows.source import live_rows
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecast_problem import ForecastProblem, Lanes
from statewise.training.config import DEFAULT_TRAIN, TrainConfig
from statewise.training.loop import Progress
from statewise.training.loop import train as train_steps
from statewise.training.memory import InMemory
from statewise.training.randomness import TorchStream

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
_SAMPLE_ROWS = 48
_SEEDS = 1000  # between the seeds of members


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
    initial: Initial = "zero",
    options: Mapping[str, Any] = NO_OPTIONS,
    members: int = 1,
    train: TrainConfig = DEFAULT_TRAIN,
    validation: float = 0.1,
    progress: bool = True,
    checkpoint: str | Path | None = None,
) -> Model:
    """Train a forecaster for `task` on the rows of `data` (any frame, or a path).

    `cell` is a name or a pattern ("lstm gru"); its state starts from `initial`: "zero", "learned" or
    "random"; `options` are further options of the cell ({"state_size": 32}). The last `validation` share of
    each series is held out for early stopping and the choice of the best weights (0: train on all rows to
    the last step). With `checkpoint`, a path, the run is saved
    there and goes on from there bit for bit. `members` networks are trained one after the other, from
    seeds of their own, and their forecasts averaged: a little more accurate, that many times slower;
    `train`'s limits and the checkpoint file (".1", ".2" …) are those of each.
    Raises DataError (rows), ConfigError (settings), TrainingError (non-finite numbers).
    """
    if members < 1:
        raise ConfigError(f"members: got {members}, want 1 or more.")
    if not 0 <= validation < 0.9:
        raise ConfigError(f"validation: got {validation}, want a share from 0 to below 0.9.")
    backbone = BackboneConfig(
        cell,
        hidden_size,
        num_layers,
        dropout,
        recurrent_dropout,
        layer_norm,
        initial=initial,
        options=options,
    )
    rows = panel(data, task.schema)
    codec = task.codec(rows)
    memory = task.memory(codec, max(map(len, rows.series)))
    networks = []
    for number in range(members):
        with TorchStream(_seed(train, number), torch.device("cpu")):
            networks.append(task.network(codec, memory, backbone))
    model = Model(task, backbone, memory, codec, build(task, codec, networks), members=members)
    last = []
    for number, problem in enumerate(_problems(model, rows, train, validation)):
        train = train if problem.held_out else replace(train, validate_every=0)
        seeded = replace(train, seed=_seed(train, number))
        last.append(_run(problem, seeded, _path(checkpoint, number), progress))
    outcome = {"config": to_mapping(train), "validation_share": validation, **_summary(last, rows)}
    first = rows.series[0].head(_SAMPLE_ROWS, task.horizon)
    samples = live_rows(first, rows.schema, model.codec.clock, task.horizon)
    return with_samples(replace(model, training=outcome), list(samples))


def _problems(
    model: Model, rows: Panel, train: TrainConfig, validation: float
) -> Iterator[ForecastProblem[Any]]:
    """The training problem of each member, its closed-form start done; statistics come from `rows` alone."""
    task, lags = model.task, model.memory.lags
    arrays = [task.arrays(model.codec, series) for series in rows.series]
    lanes = Lanes(lags, max(3 * lags, 256), train.batch_size, train.chunk_length)
    for number, network in enumerate(model.forecaster.networks):
        member: Any = network
        problem = ForecastProblem(member, arrays, model.codec.layout.target, lanes, validation)
        with TorchStream(_seed(train, number), torch.device("cpu")):  # initial states may draw
            task.start(member, problem.batches())
        yield problem


def _seed(train: TrainConfig, number: int) -> int:
    """The seed of a member."""
    return train.seed + _SEEDS * number


def _path(checkpoint: str | Path | None, number: int) -> str | Path | None:
    return checkpoint if checkpoint is None or number == 0 else f"{checkpoint}.{number}"


def _run(
    problem: ForecastProblem[Any], config: TrainConfig, checkpoint: str | Path | None, show: bool
) -> Progress | None:
    from tqdm.auto import tqdm

    last = None
    hide = None if show else True  # None: a bar in a terminal or a notebook, nothing in a log file
    trained = InMemory(problem, parse_memory(config.memory)) if config.memory else problem
    steps = train_steps(trained, config, checkpoint)
    bar = tqdm(total=1000, desc="fit", disable=hide, bar_format=_BAR, dynamic_ncols=True)
    with bar, closing(steps):  # closed at once when interrupted: the run is saved, the best weights are kept
        for last in steps:
            score = "" if last.best is None else f", best validation {last.best:.4f}"
            bar.set_postfix_str(f"step {last.step}, loss {last.loss:.4f}{score}", refresh=False)
            bar.update(round(1000 * last.done) - bar.n)
    return last


def _summary(members: list[Progress | None], rows: Panel) -> dict[str, Any]:
    """What was trained on, and how the last member's run ended; `elapsed` is the time of all of them."""
    newest = max(series.time[-1] for series in rows.series)
    counts = {"rows": rows.rows, "series": len(rows), "until": rows.clock.texts(np.array([newest]))[0]}
    last = members[-1]
    if last is None:  # the checkpoint of a finished run
        return counts
    keys = ("step", "loss", "best", "clipped_fraction", "stopped")
    elapsed = sum(member.elapsed for member in members if member is not None)
    return {**counts, **{key: getattr(last, key) for key in keys}, "elapsed": elapsed}
