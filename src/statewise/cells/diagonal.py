"""Memories that turn and shrink: a complex diagonal recurrence, kept as pairs of real numbers.

    h' = λ ⊙ h + drive,   λ and h complex, one of each per state

Reals, because a snapshot (safetensors) and a graph (ONNX) hold no complex numbers. On their way through a
sequence the parts stand side by side, [N, 2] flattened, which is how a complex number lies in memory: nothing
is copied.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.ops.linear import linear
from statewise.ops.linear_scan import linear_scan
from statewise.recurrence import last_real


class DiagonalState(NamedTuple):
    """The real and imaginary parts of a complex diagonal memory."""

    real: Tensor  # [B, N]
    imag: Tensor  # [B, N]


def advance(multiplier: tuple[Tensor, Tensor], drive: Tensor, state: DiagonalState) -> DiagonalState:
    """One step: λ as (real, imaginary) [N] each, `drive` [B, N · 2]."""
    real, imag = multiplier
    drive_real, drive_imag = drive.view(*drive.shape[:-1], real.shape[0], 2).unbind(-1)
    return DiagonalState(
        real * state.real - imag * state.imag + drive_real,
        real * state.imag + imag * state.real + drive_imag,
    )


def scan(
    multiplier: tuple[Tensor, Tensor], drive: Tensor, state: DiagonalState, lengths: Tensor | None
) -> tuple[Tensor, DiagonalState]:
    """All h [B, T, N · 2] from `drive` [B, T, N · 2], T ≥ 1; and the last one."""
    drives = torch.view_as_complex(drive.view(*drive.shape[:-1], -1, 2))
    turns = torch.complex(*multiplier).view(1, 1, -1)  # constant over rows and time
    start = torch.complex(state.real, state.imag)
    states = linear_scan(turns, drives, start, lengths)
    last = last_real(states, start, lengths)
    return torch.view_as_real(states).flatten(-2), DiagonalState(last.real, last.imag)


def side_by_side(state: DiagonalState) -> Tensor:
    """The parts of one state as they stand in a sequence, [B, N · 2]."""
    return torch.stack(state, dim=-1).flatten(-2)


class Around(nn.Module):
    """The papers' D u, a way around the memory: one weight per feature when I = H, else a matrix [H, I]."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        same = input_size == hidden_size
        self.weight = nn.Parameter(
            torch.randn(hidden_size) if same else torch.randn(hidden_size, input_size) * input_size**-0.5
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [..., I] to [..., H]."""
        return self.weight * x if self.weight.dim() == 1 else linear(x, self.weight)
