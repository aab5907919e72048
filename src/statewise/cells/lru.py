"""The linear recurrent unit of Orvieto et al. 2023 ("Resurrecting recurrent neural networks", section 3).

With u the input, h a complex state and ⊙ elementwise:

    λ  = exp(-exp(ν) + i exp(θ))             |λ| < 1 whatever ν and θ are
    γ  = exp(log γ), which starts at √(1 - |λ|²)
    h' = λ ⊙ h + γ ⊙ (B u)
    y  = Re(C h') + D u

λ starts uniform on the ring between the radii `radius_min` and `radius_max`, its phase below `max_phase`.
With `gated`, the output is GLU(GELU(y)), the nonlinear part of the paper's block; without, the layer is
linear in u.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least, between
from statewise.cells.diagonal import Around, DiagonalState, advance, scan, side_by_side
from statewise.core.errors import ConfigError
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class LRU(Recurrence):
    """One layer of linear recurrent units: x [B, T, I] to [B, T, H], by a scan over N complex states.

    D is a vector when I = H, as in the paper, else a matrix. For memories of thousands of steps start with
    `radius_min` near 1 and a small `max_phase` (section 3.4). Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int = 64,
        radius_min: float = 0.0,
        radius_max: float = 0.999,
        max_phase: float = 2 * math.pi,
        gated: bool = True,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.gated = input_size, hidden_size, gated
        self.state_size = at_least(state_size, 1, "state_size")
        between(radius_max, 0.0, 1.0, "radius_max")
        between(radius_min, 0.0, radius_max, "radius_min")
        if radius_max == 0.0 or radius_min == 1.0:
            raise ConfigError(f"radius_min: got {radius_min:g} to {radius_max:g}, want a ring inside 0 to 1.")
        between(max_phase, 1e-6, 2 * math.pi, "max_phase")
        area = torch.rand(state_size) * (radius_max**2 - radius_min**2) + radius_min**2
        decay = -0.5 * area.clamp(1e-8, 1 - 1e-6).log()
        self.log_decay = nn.Parameter(decay.log())  # ν
        self.log_phase = nn.Parameter((max_phase * torch.rand(state_size).clamp(min=1e-6)).log())  # θ
        self.log_scale = nn.Parameter(0.5 * torch.log(-torch.expm1(-2 * decay)))  # log γ
        self.input_weight = nn.Parameter(torch.randn(2 * state_size, input_size) * (2 * input_size) ** -0.5)
        self.output_weight = nn.Parameter(torch.randn(hidden_size, 2 * state_size) * state_size**-0.5)
        self.around = Around(input_size, hidden_size)
        self.gate = nn.Linear(hidden_size, 2 * hidden_size) if gated else None

    def initial_state(self, batch: int) -> DiagonalState:
        """Zeros for `batch` rows."""
        return DiagonalState(*(self.log_decay.new_zeros(batch, self.state_size) for _ in range(2)))

    def step(self, x: Tensor, state: DiagonalState) -> tuple[Tensor, DiagonalState]:
        """One observation [B, I] to [B, H]."""
        state = advance(self._multiplier(), self._drive(x), state)
        return self._output(side_by_side(state), x), state

    def forward(
        self, x: Tensor, state: DiagonalState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DiagonalState]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "lru")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        x = zero_padding(x, lengths)
        states, state = scan(self._multiplier(), self._drive(x), state, lengths)
        return zero_padding(self._output(states, x), lengths), state

    def _multiplier(self) -> tuple[Tensor, Tensor]:
        radius, phase = torch.exp(-self.log_decay.exp()), self.log_phase.exp()
        return radius * phase.cos(), radius * phase.sin()

    def _drive(self, x: Tensor) -> Tensor:
        scale = self.log_scale.exp().repeat_interleave(2)
        return linear(x, scale.unsqueeze(1) * self.input_weight).to(self.log_scale.dtype)

    def _output(self, states: Tensor, x: Tensor) -> Tensor:
        # The imaginary parts' weights stand for -Im C: a sign that training need not know.
        y: Tensor = linear(states, self.output_weight) + self.around(x)
        if self.gate is not None:
            y = functional.glu(linear(functional.gelu(y), self.gate.weight, self.gate.bias), dim=-1)
        return y.to(self.log_scale.dtype)
