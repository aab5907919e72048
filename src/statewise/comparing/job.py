"""One piece of work of a comparison, and what came of it: plain values, fit for a JSON file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from statewise.comparing.losses import Losses
from statewise.core.errors import StatewiseError

FINISHED, CUT_SHORT, FAILED, NOT_FINISHED = "finished", "cut short", "failed", "not finished"
CELL, LINEAR, CLASSICAL, TRIAL = "cell", "linear", "classical", "trial"


@dataclass(frozen=True)
class Job:
    """Train one competitor from one seed for one fold and let it answer; a trial is trained only.

    `model` are settings of `sw.fit`, `train` those of `TrainConfig`. `seconds` of training are allowed (0: no
    limit); `timed` says that they are all used, so that they belong to the job's identity.
    """

    kind: str
    name: str
    seed: int = 0
    fold: int = 0
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    timed: bool = False

    @property
    def key(self) -> str:
        """A file name that only equal jobs share."""
        identity = asdict(self if self.timed else replace(self, seconds=0.0))
        digest = hashlib.sha256(canonical(identity).encode()).hexdigest()[:12]
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", self.name)[:40]
        return f"{self.kind}-{readable}-{self.seed}-{self.fold}-{digest}"


@dataclass(frozen=True, eq=False)
class Result:
    """How a job ended. `facts` are numbers about it; `losses` is None for trials and for what failed."""

    job: Job
    status: str
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    losses: Losses | None = None

    @property
    def usable(self) -> bool:
        """True when the job was done, if perhaps in less time than it wanted."""
        return self.status in (FINISHED, CUT_SHORT)


def canonical(value: Any) -> str:
    """JSON that is equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def told(error: BaseException) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, StatewiseError) else f"{type(error).__name__}: {text}"
