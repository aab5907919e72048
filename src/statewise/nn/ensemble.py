"""Several networks trained from different starts, whose answers are averaged; itself a recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from statewise.recurrence import Recurrence
from statewise.state import State


class Ensemble(Recurrence):
    """The mean of the members' outputs (of their quantiles, too: Vincent 1912); one state per member."""

    def __init__(self, members: Sequence[Recurrence]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.parts = list(members)

    def initial_state(self, batch: int) -> tuple[State, ...]:
        return tuple(member.initial_state(batch) for member in self.parts)

    def step(self, x: Any, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """One observation through every member."""
        return _mean([member.step(x, part) for member, part in zip(self.parts, state, strict=True)])

    def forward(
        self, x: Any, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """A sequence through every member."""
        parts = (None,) * len(self.parts) if state is None else state
        return _mean([member(x, part, lengths) for member, part in zip(self.parts, parts, strict=True)])


def _mean(answers: Sequence[tuple[Tensor, State]]) -> tuple[Tensor, tuple[State, ...]]:
    outputs, states = zip(*answers, strict=True)
    return torch.stack(outputs).mean(dim=0), states
