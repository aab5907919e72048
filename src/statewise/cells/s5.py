"""The simplified state space layer of Smith, Warrington and Linderman 2023 (S5).

With u the input, h a complex state, ⊙ elementwise, and A continuous in time:

    λ  = exp(A ⊙ Δ)                                     zero-order hold, section 3.3
    h' = λ ⊙ h + ((λ - 1) / A ⊙ B) u
    y  = 2 Re(C h') + D u

A starts as the eigenvalues of the normal part of HiPPO-LegS (section 3.2), B and C in its eigenvectors, Δ
log-uniform between `step_min` and `step_max`. Eigenvalues come in conjugate pairs of which one is kept:
`state_size` real numbers are N = state_size / 2 complex ones. With `gated` the output is g ⊙ σ(W g) with g =
GELU(y), the paper's activation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import above_zero, at_least, between
from statewise.cells.diagonal import Around, DiagonalState, advance, scan, side_by_side
from statewise.core.errors import ConfigError
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class S5(Recurrence):
    """One S5 layer: x [B, T, I] to [B, T, H], by a scan over `state_size` / 2 complex states.

    The real part of A is held below zero, so that no memory grows. D is a vector when I = H, as in the paper,
    else a matrix. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int = 64,
        step_min: float = 0.001,
        step_max: float = 0.1,
        gated: bool = True,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.gated = input_size, hidden_size, gated
        if at_least(state_size, 2, "state_size") % 2:
            raise ConfigError(f"state_size: got {state_size}, want an even number (conjugate pairs).")
        above_zero(step_max, "step_max")
        between(above_zero(step_min, "step_min"), 0.0, step_max, "step_min")
        half = state_size // 2
        self.pairs = half
        eigenvalues, vectors = hippo_eigen(state_size)
        kept = vectors[:, :half]
        B = kept.mH @ _normal(state_size, input_size, fan=input_size).to(kept.dtype)
        C = torch.complex(*_normal(2, hidden_size, state_size, fan=state_size)) @ kept
        self.decay = nn.Parameter(eigenvalues.real[:half].float())
        self.frequency = nn.Parameter(eigenvalues.imag[:half].float())
        self.input_weight = nn.Parameter(torch.stack((B.real, B.imag), dim=1).flatten(0, 1).float())
        self.output_weight = nn.Parameter(torch.stack((C.real, -C.imag), dim=2).flatten(1).float())
        low, high = math.log(step_min), math.log(step_max)
        self.log_step = nn.Parameter(torch.empty(half).uniform_(low, high))
        self.around = Around(input_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size) if gated else None

    def initial_state(self, batch: int) -> DiagonalState:
        """Zeros for `batch` rows."""
        return DiagonalState(*(self.decay.new_zeros(batch, self.pairs) for _ in range(2)))

    def step(self, x: Tensor, state: DiagonalState) -> tuple[Tensor, DiagonalState]:
        """One observation [B, I] to [B, H]."""
        multiplier, weight = self._discrete()
        state = advance(multiplier, linear(x, weight).to(self.decay.dtype), state)
        return self._output(side_by_side(state), x), state

    def forward(
        self, x: Tensor, state: DiagonalState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DiagonalState]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "s5")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        x = zero_padding(x, lengths)
        multiplier, weight = self._discrete()
        states, state = scan(multiplier, linear(x, weight).to(self.decay.dtype), state, lengths)
        return zero_padding(self._output(states, x), lengths), state

    def _discrete(self) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """λ as (real, imaginary) [N] each, and the input weight (λ - 1) / A ⊙ B as reals [N · 2, I]."""
        a, w = self.decay.clamp(max=-1e-4), self.frequency
        step = self.log_step.exp()
        radius, phase = torch.exp(a * step), w * step
        real, imag = radius * phase.cos(), radius * phase.sin()
        # (λ - 1) / A with the fraction expanded by the conjugate of A.
        size = a * a + w * w
        shift = real - 1
        scale_real = ((shift * a + imag * w) / size).unsqueeze(1)
        scale_imag = ((imag * a - shift * w) / size).unsqueeze(1)
        b_real, b_imag = self.input_weight.view(self.pairs, 2, self.input_size).unbind(1)
        rows = (scale_real * b_real - scale_imag * b_imag, scale_real * b_imag + scale_imag * b_real)
        return (real, imag), torch.stack(rows, dim=1).flatten(0, 1)

    def _output(self, states: Tensor, x: Tensor) -> Tensor:
        y: Tensor = 2 * linear(states, self.output_weight) + self.around(x)
        if self.gate is not None:
            y = functional.gelu(y)
            y = y * linear(y, self.gate.weight, self.gate.bias).sigmoid()
        return y.to(self.decay.dtype)


def hippo_eigen(size: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues [N] and orthonormal eigenvectors [N, N], complex128, of HiPPO-N, ordered by frequency.

    HiPPO-N is HiPPO-LegS plus the rank one that makes it normal: -½ on the diagonal, the rest antisymmetric
    (Gu, Goel and Ré 2022, theorem 1). The first half are those of negative frequency.
    """
    root = torch.sqrt(torch.arange(size, dtype=torch.float64) + 0.5)
    lower = torch.tril(torch.outer(root, root), diagonal=-1)
    frequency, vectors = torch.linalg.eigh(-1j * (lower.T - lower))
    return torch.complex(torch.full_like(frequency, -0.5), frequency), vectors


def _normal(*shape: int, fan: int) -> Tensor:
    drawn: Tensor = torch.randn(*shape, dtype=torch.float64) * fan**-0.5
    return drawn
