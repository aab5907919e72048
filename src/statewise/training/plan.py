"""What `sw.fit` asks of a kind of task: something to train, and a model made of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from statewise.core.errors import ConfigError
from statewise.models.model import Model
from statewise.nn.backbone import BackboneConfig
from statewise.rows.records import Records
from statewise.training.config import TrainConfig
from statewise.training.problem import Problem
from statewise.training.randomness import TorchStream

Made = TypeVar("Made")
Coded = TypeVar("Coded", bound="Widening")
_SEEDS = 1000  # between the seeds of members


@dataclass(frozen=True)
class Settings:
    """What `sw.fit` was told, the kind's own defaults filled in. Raises ConfigError.

    `validation` is the share of the rows that is held out, or rows of their own; `start` the model whose
    weights training starts from.
    """

    backbone: BackboneConfig
    train: TrainConfig
    members: int = 1
    validation: Any = 0.1
    start: Model | None = None

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ConfigError(f"members: got {self.members}, want 1 or more.")
        if (share := self.share) is not None and not 0 <= share < 0.9:
            raise ConfigError(f"validation: got {share}, want a share from 0 to below 0.9.")

    @property
    def share(self) -> float | None:
        """The held-out share; None where `validation` holds rows."""
        return self.validation if isinstance(self.validation, int | float) else None

    def seed(self, member: int) -> int:
        """The seed of a member."""
        return self.train.seed + _SEEDS * member


def seeded(settings: Settings, make: Callable[[], Made]) -> list[Made]:
    """What `make` gives for each member, drawn from the member's own seed."""
    made = []
    for number in range(settings.members):
        with TorchStream(settings.seed(number), torch.device("cpu")):
            made.append(make())
    return made


def divided(
    read: Callable[[Any, str], Records], data: Any, settings: Settings, by: str = ""
) -> tuple[Records, Records | None]:
    """Training rows and held-out ones: those given, or a share drawn by the seed; None where there are none.

    `read` checks rows and names them in errors; rows of one value in the column `by` stay together.
    """
    rows = read(data, "data")
    if settings.share is None:
        return rows, read(settings.validation, "validation")
    if not settings.share or rows.groups(by) < 2:
        return rows, None
    return rows.split(settings.share, settings.train.seed, by=by)


class Widening(Protocol):
    """A codec that can take in what another one of its kind knows."""

    def widened(self, other: Any) -> Any:
        """The codec that also knows the items of `other`; its own keep their numbers."""


def widened(codec: Coded, settings: Settings) -> Coded:
    """The codec that also knows what the codec of the model to start from knows, if that is of its kind."""
    start = settings.start
    if start is None or type(start.codec) is not type(codec):
        return codec
    made: Coded = codec.widened(start.codec)
    return made


class HeldOut(Problem[Any], Protocol):
    """A problem that says whether it has anything to validate on."""

    @property
    def validates(self) -> bool:
        """Whether rows are held out."""


class Plan(Protocol):
    """One fit: its rows are checked, its codec is fitted and its networks are made before training begins."""

    codec: Any  # the torch-free half of the model to be

    def problems(self) -> Iterator[HeldOut]:
        """The training problem of each member, in order; each is trained before the next is asked for."""

    def model(self, outcome: Mapping[str, Any]) -> Model:
        """The trained model, finished (calibrated, with sample rows); `outcome` is the record of training."""

    @property
    def facts(self) -> dict[str, Any]:
        """What was trained on, as plain values of the record: rows, …"""


@dataclass(frozen=True)
class Kind:
    """How a kind of task is trained, and what `sw.fit` takes where it is told nothing."""

    plan: Callable[[Any, Any, Settings], Plan]  # of (task, data, settings); DataError, ConfigError
    backbone: BackboneConfig
    train: TrainConfig
