"""The language: what a recurrence is, and the one loop that runs any of them over a sequence.

The one law, tested for every entry of every table: `forward` over a sequence equals `step` repeated,
equals `forward` over any cut of it with the state handed over, whatever the padding and the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.core.errors import ShapeError
from statewise.state import State

Input = Any  # a tensor or a tuple of tensors, batch on axis 0 and (in a sequence) time on axis 1


class Recurrence(nn.Module, ABC):
    """A function with memory: `(x, state) -> (y, state)`, over one step or a whole sequence.

    `x` is a tensor or a tuple of tensors; batch on axis 0 and, in `forward`, time on axis 1.
    """

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state before the first observation, for `batch` rows, on the module's device and dtype."""

    @abstractmethod
    def step(self, x: Input, state: State) -> tuple[Tensor, State]:
        """One observation `x` [B, ...] to output [B, ...] and the next state; `state` is not changed."""

    @abstractmethod
    def forward(
        self, x: Input, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """A sequence `x` [B, T, ...] to outputs [B, T, ...] and the state after each row's last real step.

        `lengths` [B] counts the real steps of each row; what stands after them (NaN too) changes nothing,
        outputs there are zero, and a row of length 0 keeps its state.
        """


class Encoder(nn.Module, ABC):
    """What reads the whole sequence before it answers (bidirectional …): `forward` only; it cannot stream."""

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A sequence `x` [B, T, ...] to outputs [B, T, ...]; zero after each row's length."""


def check_sequence(x: Tensor, lengths: Tensor | None, input_size: int, where: str) -> None:
    """Raise ShapeError unless `x` is [B, T, input_size] and `lengths` counts from 0 to T, one per row."""
    if x.dim() != 3 or x.shape[2] != input_size:
        raise ShapeError(f"{where}: got x of shape {list(x.shape)}, want [B, T, {input_size}].")
    if lengths is None:
        return
    if lengths.shape != x.shape[:1] or lengths.is_floating_point():
        got = f"{lengths.dtype} of shape {list(lengths.shape)}"
        raise ShapeError(f"{where}: got lengths {got}, want one integer per row, [{x.shape[0]}].")
    # Reading values off an accelerator would make every call wait, so only the CPU looks at them.
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and len(lengths):
        low, high = int(lengths.min()), int(lengths.max())
        if low < 0 or high > x.shape[1]:
            wrong = low if low < 0 else high
            raise ShapeError(f"{where}: got a length of {wrong}, want 0 to {x.shape[1]}, the steps of x.")


def real_steps(lengths: Tensor, time: int) -> Tensor:
    """Mask [B, T], true where a step is real."""
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)


def zero_padding(x: Input, lengths: Tensor | None) -> Input:
    """`x` [B, T, ...] with everything after each row's length replaced by zero (NaN too)."""
    if lengths is None:
        return x

    def clean(part: Tensor) -> Tensor:
        mask = real_steps(lengths, part.shape[1]).view(*part.shape[:2], *([1] * (part.dim() - 2)))
        return torch.where(mask, part, torch.zeros((), dtype=part.dtype, device=part.device))

    return states.map_state(clean, x)


def last_real(outputs: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's last real entry of `outputs` [B, T, ...], T ≥ 1; that of `initial` if it has none."""
    if lengths is None:
        return outputs[:, -1]
    index = (lengths - 1).clamp(min=0).view(-1, *([1] * (outputs.dim() - 1))).long()
    last = outputs.gather(1, index.expand(-1, 1, *outputs.shape[2:])).squeeze(1)
    return torch.where((lengths > 0).view(-1, *([1] * (last.dim() - 1))), last, initial)


def run_steps(
    step: Callable[[Any, State], tuple[Tensor, State]], x: Input, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """The plain loop: `step` over `x` [B, T, ...], T ≥ 1, rows frozen after their length."""
    outputs = []
    padded = zero_padding(x, lengths)
    columns = [part.unbind(1) for part in states.tensors(padded)]
    for t, parts in enumerate(zip(*columns, strict=True)):
        y_t, after = step(states.from_tensors(x, parts), state)
        state = after if lengths is None else states.where(t < lengths, after, state)
        outputs.append(y_t)
    return zero_padding(torch.stack(outputs, dim=1), lengths), state
