"""`sw.fit`: rows to a trained model, with a progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

from statewise.cells.start import Initial
from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError
from statewise.models.classify import ClassifyModel
from statewise.models.forecast import ForecastModel
from statewise.models.generate import GenerateModel
from statewise.models.model import Model
from statewise.models.tag import TagModel
from statewise.models.translate import TranslateModel
from statewise.nn.memory import parse_memory
from statewise.tasks.classify import Classify
from statewise.tasks.forecast import Forecast
from statewise.tasks.generate import Generate
from statewise.tasks.table import TASKS
from statewise.tasks.tag import Tag
from statewise.tasks.task import Task, kind_of
from statewise.tasks.translate import Translate
from statewise.training.config import TrainConfig
from statewise.training.interrupt import between_steps
from statewise.training.loop import Progress
from statewise.training.loop import train as train_steps
from statewise.training.memory import Additive, InMemory
from statewise.training.plan import HeldOut, Settings
from statewise.training.plans.table import PLANS
from statewise.training.start import Start, model_of

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class Options(TypedDict, total=False):
    """What `fit` can be told, for type checkers."""

    cell: str | None
    hidden_size: int | None
    num_layers: int | None
    dropout: float | None
    recurrent_dropout: float | None
    layer_norm: bool | None
    residual: bool | None
    initial: Initial | None
    options: Mapping[str, Any] | None
    members: int
    train: TrainConfig | None
    validation: Any
    progress: bool
    checkpoint: str | Path | None
    start: Model | str | Path | None


@overload
def fit(task: Forecast, data: Any, **options: Unpack[Options]) -> ForecastModel: ...
@overload
def fit(task: Classify, data: Any, **options: Unpack[Options]) -> ClassifyModel: ...
@overload
def fit(task: Tag, data: Any, **options: Unpack[Options]) -> TagModel: ...
@overload
def fit(task: Generate, data: Any, **options: Unpack[Options]) -> GenerateModel: ...
@overload
def fit(task: Translate, data: Any, **options: Unpack[Options]) -> TranslateModel: ...
@overload
def fit(task: Task, data: Any, **options: Unpack[Options]) -> Model: ...
def fit(
    task: Task,
    data: Any,
    *,
    cell: str | None = None,
    hidden_size: int | None = None,
    num_layers: int | None = None,
    dropout: float | None = None,
    recurrent_dropout: float | None = None,
    layer_norm: bool | None = None,
    residual: bool | None = None,
    initial: Initial | None = None,
    options: Mapping[str, Any] | None = None,
    members: int = 1,
    train: TrainConfig | None = None,
    validation: Any = 0.1,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    start: Model | str | Path | None = None,
) -> Model:
    """Train a model for `task` on the rows of `data` (any frame, or a path).

    The network's settings (see `BackboneConfig`) and `train` are those of the task's kind where they are not
    given: `statewise.training.plans`. `cell` is a name or a pattern ("lstm gru"); `options` are further
    options of the cell ({"state_size": 32}).

    `validation` is held out for early stopping and the choice of the best weights: a share of the rows (of a
    forecaster the last one of each series, else drawn at random; 0: train on all rows to the last step), or
    rows of their own. With `checkpoint`, a path, the run is saved there and goes on from there bit for bit.
    `members` networks are trained one after the other, from seeds of their own, and their answers averaged: a
    little more accurate, that many times slower; `train`'s limits and the checkpoint file (".1", ".2" …) are
    those of each.

    `start`, a trained model or its path, is where the weights start from, where name and shape fit: rows that
    stand for items (words, letters, labels) are taken over item by item, and what the model knew and the new
    rows do not hold stays known. `model.training["start"]` says what was taken.
    Raises DataError (rows), ConfigError (settings), TrainingError (non-finite numbers).
    """
    kind = PLANS[kind_of(task, TASKS)]
    told: dict[str, Any] = {
        "cell": cell,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "dropout": dropout,
        "recurrent_dropout": recurrent_dropout,
        "layer_norm": layer_norm,
        "residual": residual,
        "initial": initial,
        "options": options,
    }
    backbone = replace(kind.backbone, **{name: value for name, value in told.items() if value is not None})
    begin = model_of(start)
    settings = Settings(backbone, kind.train if train is None else train, members, validation, begin)
    plan = kind.plan(task, data, settings)
    config, last = settings.train, list[Progress | None]()
    record: dict[str, Any] = {}
    for number, problem in enumerate(plan.problems()):
        if begin is not None:
            record["start"] = Start(begin, task.meanings(plan.codec)).into(problem.network, number)
        config = config if problem.validates else replace(config, validate_every=0)
        seeded = replace(config, seed=settings.seed(number))
        last.append(_run(problem, seeded, _path(checkpoint, number), progress))
    record |= {"config": to_mapping(config), "validation_share": settings.share}
    return plan.model({**record, **plan.facts, **_summary(last)})


def _path(checkpoint: str | Path | None, number: int) -> str | Path | None:
    return checkpoint if checkpoint is None or number == 0 else f"{checkpoint}.{number}"


def _run(problem: HeldOut, config: TrainConfig, checkpoint: str | Path | None, show: bool) -> Progress | None:
    from tqdm.auto import tqdm

    last = None
    hide = None if show else True  # None: a bar in a terminal or a notebook, nothing in a log file
    steps = train_steps(_in_memory(problem, config), config, checkpoint)
    bar = tqdm(total=1000, desc="fit", disable=hide, bar_format=_BAR, dynamic_ncols=True)
    # Closed at once when interrupted between steps: the run is saved, the best weights are kept.
    with bar, closing(steps), between_steps() as check:
        for last in steps:
            check()
            score = "" if last.best is None else f", best validation {last.best:.4f}"
            bar.set_postfix_str(f"step {last.step}, loss {last.loss:.4f}{score}", refresh=False)
            bar.update(round(1000 * last.done) - bar.n)
    return last


def _in_memory(problem: HeldOut, config: TrainConfig) -> Any:
    """The problem in the memory that the settings allow."""
    if not config.memory:
        return problem
    if not isinstance(problem, Additive):
        raise ConfigError("memory: the loss of this task cannot be taken piece by piece; use chunk_length.")
    return InMemory(problem, parse_memory(config.memory))


def _summary(members: list[Progress | None]) -> dict[str, Any]:
    """How the last member's run ended; `elapsed` is the time of all. Empty for a finished checkpoint."""
    last = members[-1]
    if last is None:
        return {}
    keys = ("step", "loss", "best", "clipped_fraction", "stopped")
    elapsed = sum(member.elapsed for member in members if member is not None)
    return {**{key: getattr(last, key) for key in keys}, "elapsed": elapsed}
