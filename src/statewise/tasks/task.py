"""What a task is to those who handle all kinds alike: a frozen dataclass of plain values with a kind."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from statewise.core.errors import ConfigError, shown


@dataclass(frozen=True)
class Same:
    """A weight that means the same only where `key` is the same: taken over whole, or not at all."""

    key: Hashable


# What the entries of a weight stand for, axis by axis; None, or nothing: the axis has to be as long. None
# instead of all axes: a weight that is never taken over, as the rows or a file say what it is.
Meaning = Sequence[Sequence[Hashable] | None] | Same | None
# By name in a member. Of a weight that is not named here the shape has to be the same, no more.
Meanings = Mapping[str, Meaning]


@runtime_checkable
class Task(Protocol):
    """Settings of one kind of task; `kind` is its name in tables, bundles and experiment files."""

    kind: ClassVar[str]

    def meanings(self, codec: Any) -> Meanings:
        """What the entries of a network's weights stand for, by the codec that the network was made for."""


def kind_of(task: object, kinds: Mapping[str, type[Any]]) -> str:
    """The kind of a task, one of the table `kinds`. Raises ConfigError for what is none."""
    if isinstance(task, type) or not isinstance(task, Task) or task.kind not in kinds:
        known = " or ".join(f"sw.{made.__name__}" for made in kinds.values())
        raise ConfigError(f"task: got {shown(task)}, want {known}.")
    return task.kind
