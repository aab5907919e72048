"""Bugs of structure, steps against the whole, and cuts (items 1 to 3 of the law), and how each is named."""

from __future__ import annotations

from typing import Any

import torch
from sound_recurrence import H, Memory, Sound
from torch import Tensor, nn

from statewise import state as states
from statewise.recurrence import run_steps

# --- 1: structure ---------------------------------------------------------------------------------------


class DtypeChanges(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, Memory(state.hidden.to(x.dtype), state.count))
        return y, Memory(after.hidden.float(), after.count)


class TurnsIntoDouble(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, Memory(state.hidden.to(x.dtype), state.count))
        return y, Memory(after.hidden.double(), after.count)


class StructureChanges(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, Memory(*state))
        return y, tuple(after)


class StateGrows(Sound):
    """Keeps every hidden state so far."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, Memory(state.hidden[:, -H:], state.count))
        return y, Memory(torch.cat((state.hidden, after.hidden), dim=1), after.count)


class BatchOnAxisOne(Sound):
    def initial_state(self, batch: int) -> Any:
        return Memory(self.start.repeat(1, batch, 1), torch.zeros(batch, dtype=torch.int64))


class CountOfNoRow(Sound):
    def initial_state(self, batch: int) -> Any:
        return Memory(self.start.repeat(batch, 1), torch.zeros((), dtype=torch.int64))


class OutputOfAnotherShape(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, state)
        return y[:, :2], after

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


# --- 2: steps and whole ---------------------------------------------------------------------------------


class StepInPlace(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, state)
        state.hidden.copy_(after.hidden)
        return y, after


class ForwardInPlace(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, lengths)
        state.hidden.copy_(after.hidden)
        return y, after


class ChangesItsInput(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return super().sequence(x.clamp_(-1, 1), state, lengths)


class ReusesOneBuffer(Sound):
    """Every state it hands out is the same memory."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().step(x, state)
        if not hasattr(self, "buffer") or self.buffer.shape != after.hidden.shape:
            self.buffer = torch.empty_like(after.hidden)
        if self.buffer.dtype != after.hidden.dtype:
            self.buffer = torch.empty_like(after.hidden)
        return y, Memory(self.buffer.copy_(after.hidden), after.count)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


class RemembersByItself(Sound):
    """Keeps its state in the module, as many a stateful layer does."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        before = getattr(self, "own", state.hidden)
        before = before if before.shape == state.hidden.shape else state.hidden
        y, after = super().step(x, Memory(before.to(x.dtype), state.count))
        self.own = after.hidden
        return y, after

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


class RandomOnEveryCall(Sound):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().step(nn.functional.dropout(x, 0.5), state)


class SeesTheFuture(Sound):
    """Subtracts the mean over the whole sequence."""

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return super().sequence(x - x.mean(dim=1, keepdim=True), state, lengths)


class OffByOne(Sound):
    """`step` answers with the hidden state from before its input."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        _, after = super().step(x, state)
        return state.hidden * 2, after

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


class FinalStateOneEarly(Sound):
    """`forward` hands back the state from before its last step."""

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, lengths)
        before = super().sequence(x[:, :-1], state, lengths)[1] if x.shape[1] > 1 else state
        return y, Memory(before.hidden, after.count)


class OtherDefault(Sound):
    """Without a state, forward starts from zero rather than from initial_state."""

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        if state is None:
            state = states.map_state(torch.zeros_like, self.initial_state(x.shape[0]))
        return super().forward(x, state, lengths)


class NotFinite(Sound):
    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().update(projected, state)
        return y.log(), after


# --- 3: cuts --------------------------------------------------------------------------------------------


class ForgetsAtACut(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return super().sequence(x, self.initial_state(x.shape[0]), lengths)


class ForgetsHalfAtACut(Sound):
    """Hands on the hidden state, yet counts every chunk from zero."""

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, Memory(state.hidden, torch.zeros_like(state.count)), lengths)
        real = torch.full_like(state.count, x.shape[1]) if lengths is None else lengths
        return y, Memory(after.hidden, state.count + real)


class ChunkStartIsSpecial(Sound):
    """Encodes the position within the chunk, while `step` takes it from the state."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().step(x + state.count.unsqueeze(1), state)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        position = torch.arange(x.shape[1], dtype=x.dtype).view(1, -1, 1)
        return run_steps(super().step, x + position, state, lengths)


class RefusesTheEmptyChunk(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        return self.sequence(x, state, lengths)


BUGS: list[tuple[int, type[Sound], str]] = [
    (
        1,
        DtypeChanges,
        "after step it is Memory(hidden: float32[1, 4], count: int64[1]), want Memory(hidden: f",
    ),
    (
        1,
        TurnsIntoDouble,
        "after step it is Memory(hidden: float64[1, 4], count: int64[1]), want Memory(hidden: f",
    ),
    (1, StructureChanges, "after step it is (float32[1, 4], int64[1]), want Memory("),
    (1, StateGrows, "after step it is Memory(hidden: float32[1, 8]"),
    (1, BatchOnAxisOne, "leaf hidden of initial_state(2) has shape [1, 2, 4], want the batch on axis 0"),
    (1, CountOfNoRow, "leaf count of initial_state(1) has shape [], want the batch on axis 0"),
    (1, OutputOfAnotherShape, "step gives float32[1, 2], one step of forward gives float32[1, 4]"),
    (2, StepInPlace, "changes its state in place (hidden)"),
    (2, ForwardInPlace, "forward changes its state in place (hidden)"),
    (2, ChangesItsInput, "forward changes its input in place"),
    (2, ReusesOneBuffer, "step changes its state in place (hidden)"),
    (2, RemembersByItself, "outputs of steps and whole from a fresh state"),
    (2, RandomOnEveryCall, "the same call gives other answers"),
    (2, SeesTheFuture, "outputs before step 1 when x changes from there on"),
    (2, OffByOne, "outputs of steps and whole from a fresh state"),
    (2, FinalStateOneEarly, "final state of steps and whole from a fresh state"),
    (2, OtherDefault, "forward without a state and from initial_state"),
    (2, NotFinite, "outputs: NaN or infinite for finite input"),
    (3, ForgetsAtACut, "outputs cut at [1] from a fresh state"),
    (3, ForgetsHalfAtACut, "outputs cut at [1] from a fresh state"),
    (3, ChunkStartIsSpecial, "outputs cut at [1] from a fresh state"),
    (3, RefusesTheEmptyChunk, "a cut at [0] of 8 steps raises RuntimeError"),
]
