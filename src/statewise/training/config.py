"""How to train: plain values, checked when made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from statewise.core.errors import ConfigError, lookup
from statewise.core.quantities import in_seconds
from statewise.nn.memory import parse_memory
from statewise.training.optimizer import OPTIMIZERS
from statewise.training.schedule import SCHEDULES

PRECISIONS = ("float32", "bfloat16")
DEFAULT_STEPS = 1000


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; 0 switches an option off. Raises ConfigError for a value out of range.

    Training ends at the first limit reached: `steps`, `epochs` (turned into steps by counting the chunks of
    the first epoch), `time_budget`, `patience`. With none of the first three it takes 1,000 steps.
    """

    steps: int | None = None
    epochs: int | None = None
    time_budget: float | str = 0  # seconds, or "90 s", "2 min", "1.5 h"; wall clock, validation included
    optimizer: str = "adamw"
    learning_rate: float = 3e-3  # the peak of the schedule
    schedule: str = "one_cycle"
    weight_decay: float = 0.01  # of matrices; biases, gains and other vectors never decay
    gradient_clip: float = 1.0  # largest global norm of the gradient
    batch_size: int = 32  # lanes per chunk; read by the problem
    batch_tokens: int = 0  # of a batch of texts, padding counted: takes the place of batch_size
    chunk_length: int | None = None  # steps per chunk; None: whole sequences; read by the problem
    memory: float | str = (
        0  # for the way back through a chunk: "50 MB", 0.1 of what it would take, "64 steps"
    )
    validate_every: int = 50  # steps; the last step is always validated
    patience: int = 10  # validations without a better score before training stops
    average: float = 0.0  # decay of the moving average of weights that is validated and kept
    average_last: int = 0  # instead: the mean of the weights at so many last validations is
    precision: str = "float32"  # "bfloat16": matrix products in bfloat16, weights and state in float32
    threads: int | str = "auto"  # of the processor; "auto": 1 for small networks
    seed: int = 0
    checkpoint_every: int | float | str = "1 min"  # an int counts steps (0: only when left), else time

    def __post_init__(self) -> None:
        for name, (allowed, want) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and allowed(value)):
                raise ConfigError(f"{name}: got {value!r}, want {want}.")
        lookup(OPTIMIZERS, self.optimizer, "optimizer")
        lookup(SCHEDULES, self.schedule, "schedule")
        lookup(dict.fromkeys(PRECISIONS), self.precision, "precision")
        if self.threads != "auto" and not (_is_whole(self.threads) and _at_least(1)(self.threads)):
            raise ConfigError(f"threads: got {self.threads!r}, want 'auto' or a whole number of at least 1.")
        if self.average and self.average_last:
            raise ConfigError("average_last: got both average and average_last, want one of them.")
        if self.memory:
            parse_memory(self.memory)
        seconds(self.time_budget, "time_budget")
        seconds(self.checkpoint_every, "checkpoint_every")

    @property
    def budget(self) -> float:
        """The time budget in seconds; infinite when there is none."""
        return seconds(self.time_budget, "time_budget") or math.inf


def seconds(duration: float | str, name: str) -> float:
    """Seconds in `duration`: a number, or text such as "90 s", "2 min", "1.5 hours"."""
    value = in_seconds(duration)
    if value is None or not 0 <= value < math.inf:
        raise ConfigError(f"{name}: got {duration!r}, want seconds or text such as '90 s', '2 min', '1.5 h'.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _at_least(low: float) -> Callable[[Any], bool]:
    return lambda value: low <= value < math.inf


def _whole(low: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: _is_whole(value) and value >= low, f"a whole number of at least {low}"


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "steps": _whole(1),
    "epochs": _whole(1),
    "learning_rate": (lambda value: 0 < value < math.inf, "a number above 0"),
    "weight_decay": (_at_least(0), "a number of at least 0"),
    "gradient_clip": (_at_least(0), "a number of at least 0 (0: no clipping)"),
    "batch_size": _whole(1),
    "batch_tokens": _whole(0),
    "average_last": _whole(0),
    "chunk_length": _whole(1),
    "validate_every": _whole(0),
    "patience": _whole(0),
    "average": (lambda value: 0 <= value < 1, "a number from 0 (off) to below 1"),
    "seed": _whole(0),
}

# Of `sw.fit`. A higher rate fits the noise of short series: chosen on validation parts of ETTh1 and Tetouan.
DEFAULT_TRAIN = TrainConfig(steps=300, batch_size=8, average=0.98, validate_every=25, learning_rate=1e-3)
