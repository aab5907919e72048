"""The Legendre memory unit of Voelker, Kajić and Eliasmith 2019, and its form without a loop (2021).

With x the input, m a memory [M, N] of M = `channels` signals, each written as N = `state_size` Legendre
polynomials of its last θ = `theta` steps, and h the hidden state:

    w  = E_x x + b_w                                  what is remembered, [M]
    w  = E_x x + b_w + E_h h + E_m m                  with feedback=True (the unit of 2019)
    m' = Ā m + B̄ w                                    every channel by itself; Ā, B̄ fixed
    h' = tanh(W_x x + W_m m' + b)
    h' = tanh(W_x x + W_m m' + W_h h + b)             with feedback=True

    Ā = exp(A / θ), B̄ = A⁻¹ (Ā - 1) B                zero-order hold
    A_ij = (2i + 1) · (-1 if i < j else (-1)^(i-j+1)), B_i = (2i + 1) (-1)^i

Without feedback m is linear in x and computed in chunks of `CHUNK` steps by a few matrix products; with it,
step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import above_zero, at_least
from statewise.cells.weights import gate_bias, input_weight
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, last_real, run_steps, zero_padding

CHUNK = 64


class LMUState(NamedTuple):
    """The memory of a Legendre unit; the hidden state is part of it only with feedback."""

    memory: Tensor  # [B, M, N]
    hidden: Tensor  # [B, H] with feedback, else [B, 0]


class LMU(Recurrence):
    """One Legendre memory unit: x [B, T, I] to hidden states [B, T, H].

    The memory's dynamics are fixed; what is written and how it is read are learned. Raises ShapeError,
    ConfigError.
    """

    transition: Tensor  # Ā [N, N]
    entry: Tensor  # B̄ [N]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        channels: int = 4,
        state_size: int = 32,
        theta: float = 128.0,
        feedback: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.feedback = input_size, hidden_size, feedback
        self.channels = at_least(channels, 1, "channels")
        self.state_size = at_least(state_size, 1, "state_size")
        transition, entry = legendre(state_size, above_zero(theta, "theta"))
        self.register_buffer("transition", transition.float(), persistent=False)
        self.register_buffer("entry", entry.float(), persistent=False)
        self.write_weight = nn.Parameter(_lecun(channels, input_size))
        self.write_bias = nn.Parameter(torch.zeros(channels))
        self.input_weight = input_weight(1, hidden_size, input_size)
        self.read_weight = nn.Parameter(_lecun(hidden_size, channels * state_size))
        self.bias = gate_bias(1, hidden_size)
        if feedback:
            self.write_hidden = nn.Parameter(_lecun(channels, hidden_size))
            self.write_memory = nn.Parameter(torch.zeros(channels, channels * state_size))
            self.recurrent_weight = nn.Parameter(_lecun(hidden_size, hidden_size))

    def initial_state(self, batch: int) -> LMUState:
        """Zeros for `batch` rows."""
        memory = self.bias.new_zeros(batch, self.channels, self.state_size)
        return LMUState(memory, self.bias.new_zeros(batch, self.hidden_size if self.feedback else 0))

    def step(self, x: Tensor, state: LMUState) -> tuple[Tensor, LMUState]:
        """One observation [B, I] to the hidden state [B, H]."""
        return self._update(self._project(x), state)

    def forward(
        self, x: Tensor, state: LMUState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LMUState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "lmu")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        projected = self._project(zero_padding(x, lengths))
        if self.feedback:
            return run_steps(self._update, projected, state, lengths)
        written, total = projected
        with torch.autocast(x.device.type, enabled=False):  # the memory stays in full precision
            memories = self._memories(written, state.memory)
        outputs = zero_padding(self._read(memories, total), lengths)
        return outputs, LMUState(last_real(memories, state.memory, lengths), state.hidden)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the input writes [..., M] and what it adds to the output [..., H]."""
        weight = torch.cat((self.write_weight, self.input_weight))
        both = linear(x, weight, torch.cat((self.write_bias, self.bias))).to(self.bias.dtype)
        written, total = torch.split(both, [self.channels, self.hidden_size], dim=-1)
        return written, total

    def _update(self, projected: tuple[Tensor, Tensor], state: LMUState) -> tuple[Tensor, LMUState]:
        written, total = projected
        if self.feedback:
            written = written + linear(state.hidden, self.write_hidden)
            written = written + linear(state.memory.flatten(1), self.write_memory)
            total = total + linear(state.hidden, self.recurrent_weight)
        memory = (state.memory @ self.transition.t()).to(state.memory.dtype)
        memory = memory + written.unsqueeze(-1).to(memory.dtype) * self.entry
        hidden = self._read(memory, total)
        return hidden, LMUState(memory, hidden if self.feedback else state.hidden)

    def _read(self, memory: Tensor, total: Tensor) -> Tensor:
        read = linear(memory.flatten(-2), self.read_weight)
        return (total + read).tanh().to(self.bias.dtype)

    def _memories(self, written: Tensor, memory: Tensor) -> Tensor:
        """m after every step, [B, T, M, N], from `written` [B, T, M] and the memory before it."""
        batch, time, channels = written.shape
        size = min(CHUNK, time)
        count = -(-time // size)
        powers = _powers(self.transition, size)  # Ā¹ … Ā^size, [size, N, N]
        padded = functional.pad(written, (0, 0, 0, count * size - time))
        chunks = padded.view(batch, count, size, channels).transpose(2, 3)  # [B, chunks, M, size]
        own = chunks @ _answers(powers, self.entry)  # [B, chunks, M, size · N]
        own = own.view(*own.shape[:3], size, self.state_size)
        starts, last = [memory], powers[-1].t()
        for chunk in range(count - 1):
            starts.append(starts[-1] @ last + own[:, chunk, :, -1])
        across = powers.permute(2, 0, 1).flatten(1)  # [N, size · N]
        carried = (torch.stack(starts, dim=1) @ across).view_as(own)
        return (own + carried).transpose(2, 3).flatten(1, 2)[:, :time]


def _powers(matrix: Tensor, count: int) -> Tensor:
    """The powers 1 … `count` of `matrix` [N, N], [count, N, N], by doubling."""
    powers = matrix.unsqueeze(0)
    while powers.shape[0] < count:
        powers = torch.cat((powers, powers @ powers[-1]))
    return powers[:count]


def _answers(powers: Tensor, entry: Tensor) -> Tensor:
    """What an input at step j of a chunk leaves in the memory after step t: Ā^(t-j) B̄, [size, size · N]."""
    size, count = powers.shape[0], entry.shape[0]
    impulse = torch.cat((entry.unsqueeze(0), powers[:-1] @ entry))  # [size, N]
    place = torch.arange(size, device=entry.device)
    lag = place - place.unsqueeze(1)  # [j, t]
    answers = impulse[lag.clamp(min=0)] * (lag >= 0).unsqueeze(-1).to(entry.dtype)
    return answers.view(size, size * count)


def legendre(size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Ā [N, N] and B̄ [N], float64: one step of the memory of a window of `theta` steps."""
    i = torch.arange(size, dtype=torch.float64)
    row, column = i.unsqueeze(1), i.unsqueeze(0)
    sign = torch.where(row < column, -torch.ones(()).double(), (-1.0) ** (row - column + 1))
    system = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    system[:size, :size] = (2 * row + 1) * sign / theta
    system[:size, size] = (2 * i + 1) * (-1.0) ** i / theta
    held = torch.linalg.matrix_exp(system)  # both at once: the last column integrates the input
    return held[:size, :size], held[:size, size]


def _lecun(size: int, fan: int) -> Tensor:
    """[size, fan], uniform with variance 1 / fan."""
    return torch.empty(size, fan).uniform_(-((3 / fan) ** 0.5), (3 / fan) ** 0.5)
