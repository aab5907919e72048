"""Bugs of padding, rows in a batch, and gradients (items 4 to 6 of the law), and how each is named."""

from __future__ import annotations

from typing import Any

import torch
from sound_recurrence import H, Sound
from torch import Tensor

from statewise import state as states
from statewise.recurrence import run_steps, zero_padding

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
