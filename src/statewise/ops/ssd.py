"""State space duality: the recurrence of Mamba-2, one decay per head, in matrix products over chunks.

Source: Dao and Gu 2024, "Transformers are SSMs", equation 16 and listing 1. With state S [P, N] per head:

    S_t = exp(decay_t) S_{t-1} + x_t B_tᵀ,      y_t = S_t C_t
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.gpu import gpu_for
from statewise.ops.linear_attention import Weighted, linear_attention
from statewise.recurrence import zero_padding


def ssd(
    x: Tensor,
    decay: Tensor,
    B: Tensor,
    C: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """y [B, T, H, P] and the last state [B, H, P, N] of x [B, T, H, P] from `initial` [B, H, P, N].

    `decay` [B, T, H] is the logarithm of what is kept, at most 0; `B` and `C` [B, T, G, N] are shared by the
    H / G heads of a group. After a row's length y is zero and the state stays. Raises ShapeError.
    """
    _check(x, decay, B, C, initial)
    gpu = gpu_for("ssd", x, decay, B, C, initial)
    if gpu is not None:
        return cast(tuple[Tensor, Tensor], gpu.ssd(x, decay, B, C, initial, lengths))
    x, decay, B, C = zero_padding((x, decay, B, C), lengths)
    if x.numel() == 0:
        return x, initial
    level = -decay.double().cumsum(1)
    base = level.new_zeros(level[:, 0].shape)
    return linear_attention(Weighted(x, B, C, level, level), base, initial, chunk)


def ssd_step(x: Tensor, decay: Tensor, B: Tensor, C: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step as the equations stand: x [B, H, P], `decay` [B, H], `B` and `C` [B, G, N]."""
    heads = x.shape[1] // B.shape[1]
    B, C = B.repeat_interleave(heads, 1), C.repeat_interleave(heads, 1)
    state = decay.exp()[..., None, None] * state + x.unsqueeze(-1) * B.unsqueeze(-2)
    return (state @ C.unsqueeze(-1)).squeeze(-1), state


def ssd_reference(
    x: Tensor,
    decay: Tensor,
    B: Tensor,
    C: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same, step by step: the definition that `ssd` is held to."""
    state, outputs = initial, []
    x, decay, B, C = zero_padding((x, decay, B, C), lengths)
    for parts in zip(x.unbind(1), decay.unbind(1), B.unbind(1), C.unbind(1), strict=True):
        y, state = ssd_step(*parts, state)
        outputs.append(y)
    return zero_padding(torch.stack(outputs, dim=1), lengths) if outputs else x, state


def _check(x: Tensor, decay: Tensor, B: Tensor, C: Tensor, initial: Tensor) -> None:
    rows, _, heads, size = x.shape
    fits = (
        decay.shape == x.shape[:3]
        and B.shape == C.shape
        and B.shape[:2] == x.shape[:2]
        and heads % B.shape[2] == 0
        and initial.shape == (rows, heads, size, B.shape[3])
    )
    if not fits:
        shapes = ", ".join(
            f"{name} {list(part.shape)}"
            for name, part in (("x", x), ("decay", decay), ("B", B), ("C", C), ("initial", initial))
        )
        want = "x [B, T, H, P], decay [B, T, H], B and C [B, T, G, N] with G a divisor of H"
        raise ShapeError(f"ssd: got {shapes}; want {want}, initial [B, H, P, N].")
