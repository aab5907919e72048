"""`check_recurrence` itself: a correct recurrence passes, every planted bug is caught under its item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.core.errors import LawError
from statewise.recurrence import Recurrence, run_steps, zero_padding
from statewise.testing import check_recurrence

X, H = 3, 4


class Memory(NamedTuple):
    hidden: Tensor  # [B, H]
    count: Tensor  # [B], real steps so far


class Sound(Recurrence):
    """A correct recurrence that counts its steps; every bug below spoils one thing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(H, X) / 2)
        self.loop = nn.Parameter(torch.randn(H, H) / 2)
        self.start = nn.Parameter(torch.randn(H))

    def initial_state(self, batch: int) -> Any:
        return Memory(self.start.repeat(batch, 1), torch.zeros(batch, dtype=torch.int64))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.update(x @ self.weight.t(), state)

    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        seasonal = 0.1 * (state.count % 3).unsqueeze(1)
        hidden = (projected + state.hidden @ self.loop.t() + seasonal).tanh()
        return hidden * 2, Memory(hidden, state.count + 1)

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], H), state
        return self.sequence(zero_padding(x, lengths), state, lengths)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(self.step, x, state, lengths)


def test_a_sound_recurrence_passes() -> None:
    check_recurrence(Sound, X)


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


# --- 4: padding -----------------------------------------------------------------------------------------


class PaddingInTheFinalState(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, None)
        if lengths is not None:
            after = states.where(lengths > 0, after, state)
        return zero_padding(y, lengths), after


class EmptyRowTakesAStep(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, None if lengths is None else lengths.clamp(min=1))
        return zero_padding(y, lengths), after


class EmptyRowStartsAnew(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, lengths)
        if lengths is not None:
            zero = states.map_state(torch.zeros_like, after)
            after = states.where(lengths > 0, after, zero)
        return y, after


class NaNBehindAMask(Sound):
    """Multiplies padding by zero, which NaN survives."""

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], H), state
        y, after = run_steps(self.step, x, state, None)
        if lengths is not None:
            real = (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).unsqueeze(-1)
            y, after = y * real, super().sequence(zero_padding(x, lengths), state, lengths)[1]
        return y, after


class AnswersAfterTheEnd(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        _, after = super().sequence(x, state, lengths)
        return super().sequence(x, state, None)[0], after


class LengthOneShort(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, _ = super().sequence(x, state, lengths)
        short = None if lengths is None else torch.where(lengths < x.shape[1], lengths - 1, lengths)
        return y, super().sequence(x, state, short)[1]


class CleansItsInputInPlace(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        if lengths is not None:
            padding = torch.arange(x.shape[1]) >= lengths.unsqueeze(1)
            x = x.masked_fill_(padding.unsqueeze(-1), 0.0)
        return super().forward(x, state, lengths)


# --- 5: rows --------------------------------------------------------------------------------------------


class MixesRows(Sound):
    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().update(projected - projected.mean(dim=0), state)


class NaNSpreadsToOtherRows(Sound):
    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().update(projected + 0.0 * projected.sum(), state)


class RowsHavePlaces(Sound):
    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().update(projected + torch.arange(len(projected)).unsqueeze(1), state)


class RefusesTheEmptyBatch(Sound):
    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        if projected.abs().max() < 0:
            raise AssertionError
        return super().update(projected, state)


# --- 6: gradients ---------------------------------------------------------------------------------------


class StepWithoutGradient(Sound):
    @torch.no_grad()
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().step(x, state)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


class StepHasOtherParameters(Sound):
    """`step` reads a copy of the weights: equal values, but training moves only the original."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.update(x @ self.weight.detach().t(), state)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


class CutsTheGradientAtAChunk(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, lengths)
        return y, states.detach(after)


class CutsTheGradientHalfWay(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        outputs = []
        for t, x_t in enumerate(x.unbind(1)):
            if t == 4:
                state = states.detach(state)
            y, after = self.step(x_t, state)
            state = after if lengths is None else states.where(t < lengths, after, state)
            outputs.append(y)
        return zero_padding(torch.stack(outputs, dim=1), lengths), state


class NaNInTheGradient(Sound):
    """Projects first and cleans then: the values are right, the weight's gradient is 0 · NaN."""

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], H), state
        return run_steps(self.update, zero_padding(x @ self.weight.t(), lengths), state, lengths)


class OtherPathForGradients(Sound):
    """Wrong values, but only where gradients are kept."""

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y, after = super().sequence(x, state, lengths)
        return (y + 0.1, after) if torch.is_grad_enabled() and lengths is None else (y, after)


class NoGradientAtAll(Sound):
    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return states.detach(super().sequence(x, state, lengths))


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
    (4, PaddingInTheFinalState, "final state of row 2 of length 1 padded with other values"),
    (4, EmptyRowTakesAStep, "an empty row's state changes (hidden)"),
    (4, EmptyRowStartsAnew, "an empty row's state changes (hidden)"),
    (4, NaNBehindAMask, "outputs after the end, row 1 of length 0 padded with NaN"),
    (4, AnswersAfterTheEnd, "outputs after the end, row 1 of length 0"),
    (4, LengthOneShort, "final state of row 2 of length 1"),
    (4, CleansItsInputInPlace, "forward changes its input in place"),
    (5, MixesRows, "row 0 alone and in a batch"),
    (5, NaNSpreadsToOtherRows, "row 0 beside rows of NaN"),
    (5, RowsHavePlaces, "rows in another order"),
    (5, RefusesTheEmptyBatch, "a batch of no rows raises"),
    (6, StepWithoutGradient, "weight, steps and whole"),
    (6, StepHasOtherParameters, "weight, steps and whole"),
    (6, CutsTheGradientAtAChunk, "weight, "),
    (6, CutsTheGradientHalfWay, "weight, steps and whole"),
    (6, NaNInTheGradient, "weight, a sequence padded with NaN and with numbers"),
    (6, OtherPathForGradients, "the outputs with a gradient, steps and whole"),
    (6, NoGradientAtAll, "no gradient reaches any parameter or input"),
]


@pytest.mark.parametrize(("item", "bug", "text"), BUGS, ids=[bug.__name__ for _, bug, _ in BUGS])
def test_planted_bug_is_caught(item: int, bug: type[Sound], text: str) -> None:
    with pytest.raises(LawError) as caught:
        check_recurrence(bug, X)
    message = str(caught.value)
    assert message.startswith(f"{bug.__name__} breaks law {item} (")
    assert text in message


def test_message_says_where_and_how_much() -> None:
    with pytest.raises(LawError) as caught:
        check_recurrence(OffByOne, X)
    words = str(caught.value).split("largest difference ")[1]
    assert words.endswith(", want at most 1e-09.")
    assert float(words.split(" at [")[0]) > 0.1


class Pair(Sound):
    """Reads two inputs, one of them symbols, and gives two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, X)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, after = super().step(x[0] + self.table(x[1]), state)
        return (y, -y), after

    def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> tuple[Any, Any]:
        y, after = Sound.forward(self, zero_padding(x[0], lengths) + self.table(x[1]), state, lengths)
        return (y, -y), after

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


def draw_pair(batch: int, time: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, time, X), torch.randint(5, (batch, time))


def test_tuples_of_inputs_and_outputs() -> None:
    check_recurrence(Pair, draw_pair)


def test_symbols_after_the_end_must_not_count() -> None:
    class LastSymbolLeaks(Pair):
        def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> tuple[Any, Any]:
            y, after = super().forward(x, state, lengths)
            if lengths is not None and x[1].shape[1]:
                last = torch.where(lengths == x[1].shape[1], 0, x[1][:, -1]) * (lengths > 0)
                after = Memory(after.hidden + last.unsqueeze(1), after.count)
            return y, after

    with pytest.raises(LawError, match=r"LastSymbolLeaks breaks law 4 .*: final state of row 2 of length 1"):
        check_recurrence(LastSymbolLeaks, draw_pair)


@pytest.mark.parametrize("size", [{"batch": 6, "time": 12}, {"batch": 1, "time": 1}])
def test_other_sizes(size: dict[str, int]) -> None:
    check_recurrence(Sound, X, **size)


def test_leaves_the_random_state_alone() -> None:
    torch.manual_seed(7)
    want = torch.rand(3)
    torch.manual_seed(7)
    check_recurrence(Sound, X)
    assert torch.equal(torch.rand(3), want)


def test_runs_in_the_mode_it_is_given() -> None:
    class Modal(Sound):
        def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            return super().step(nn.functional.dropout(x, 0.5, self.training), state)

    make: Callable[[], Recurrence] = lambda: Modal().eval()  # noqa: E731
    check_recurrence(make, X)
    with pytest.raises(LawError, match=r"call \.eval\(\) first"):
        check_recurrence(Modal, X)
