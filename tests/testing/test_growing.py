"""The law for a memory that grows: a sound one passes, what breaks its rules is named."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.core.errors import LawError
from statewise.recurrence import Recurrence, run_steps
from statewise.testing import check_recurrence


class Diary(NamedTuple):
    """Everything seen, one entry per step at the left, zeros after `steps`."""

    entries: Tensor  # [B, S, H]
    steps: Tensor  # [B]

    @property
    def growing(self) -> tuple[str, ...]:
        return ("entries",)


class Undeclared(NamedTuple):
    entries: Tensor
    steps: Tensor


class Remembers(Recurrence):
    """The sum of squares of all that was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def initial_state(self, batch: int) -> Any:
        empty = self.linear.weight.new_zeros(batch, 0, 4)
        return Diary(empty, torch.zeros(batch, dtype=torch.int64))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        entry = self.linear(x)
        entries = torch.cat((state.entries, torch.zeros_like(entry).unsqueeze(1)), dim=1)
        here = torch.arange(entries.shape[1]) == state.steps.unsqueeze(1)
        entries = torch.where(here.unsqueeze(-1), entry.unsqueeze(1), entries)
        return entries.square().sum(1), type(state)(entries, state.steps + 1)

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], 4), state
        y, after = run_steps(self.step, x, state, lengths)
        longest = int(after.steps.max())
        return y, type(state)(after.entries[:, :longest], after.steps)


class DoesNotSaySo(Remembers):
    def initial_state(self, batch: int) -> Any:
        return Undeclared(*super().initial_state(batch))


class AppendsBehindTheZeros(Remembers):
    """At the end of the batch's longest row rather than after the row's own entries."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        entry = self.linear(x)
        entries = torch.cat((state.entries, entry.unsqueeze(1)), dim=1)
        return entries.square().sum(1), Diary(entries, state.steps + 1)


class ForgetsTheOldest(Remembers):
    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        y, after = super().forward(x, state, lengths)
        return y, after._replace(entries=torch.cat((after.entries[:, :1] * 0, after.entries[:, 1:]), dim=1))


def test_a_sound_memory_that_grows_passes() -> None:
    check_recurrence(Remembers, 3)


@pytest.mark.parametrize(
    ("bug", "text"),
    [
        (DoesNotSaySo, "breaks law 1 (the state keeps its structure, shapes and dtypes): after step it is"),
        (AppendsBehindTheZeros, "breaks law 5 (rows are independent): row 1 alone and in a batch"),
        (ForgetsTheOldest, "breaks law 2 (steps equal the whole and change nothing in place): final state"),
    ],
)
def test_planted_bug_is_caught(bug: type[Remembers], text: str) -> None:
    with pytest.raises(LawError) as caught:
        check_recurrence(bug, 3)
    assert text in str(caught.value)


def test_states_of_different_age_meet() -> None:
    cell = Remembers()
    _, young = cell(torch.randn(1, 2, 3))
    _, old = cell(torch.randn(1, 5, 3))
    both = states.concat([(young,), (old,)])[0]
    assert both.entries.shape == (2, 5, 4)
    assert (both.entries[0, 2:] == 0).all()
    assert torch.equal(both.entries[0, :2], young.entries[0])
    chosen = states.where(torch.tensor([False]), young, old)
    assert torch.equal(chosen.entries, old.entries)
    mine, longer = states.align(young, old)
    assert mine.entries.shape == longer.entries.shape == old.entries.shape
    assert torch.equal(longer.entries, old.entries)
    assert states.growing_leaves((young, torch.ones(1))) == {"0.entries"}


def test_other_leaves_are_not_filled_up() -> None:
    with pytest.raises(RuntimeError):
        states.concat([torch.ones(1, 2), torch.ones(1, 3)])
