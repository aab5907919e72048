"""The matrix memory of the mLSTM: exponential gates, kept in range by a running maximum.

Source: Beck et al. 2024, "xLSTM", equations 19 to 27 with the stabiliser of equation 15. Per head, with gates
given as logarithms:

    m_t = max(forget_t + m_{t-1}, input_t)
    f = exp(forget_t + m_{t-1} - m_t),   i = exp(input_t - m_t)
    C_t = f C_{t-1} + i v_t k_tᵀ,   n_t = f n_{t-1} + i k_t
    y_t = C_t q_t / (max(|n_t · q_t|, exp(-m_t)) + ε)

C and n are exp(-m) times those without stabiliser, so that y does not depend on m. ε = 1e-6 as in the
authors' code: where q is orthogonal to n and m is large, the paper's denominator is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.linear_attention import Weighted, linear_attention
from statewise.recurrence import real_steps, zero_padding

EPSILON = 1e-6
SHUT = -1e30  # the logarithm of an input gate that lets nothing in, but finite
_LARGEST = 60.0  # exp(60): an output divided by it is 0 beside any other; beyond 88 it would be infinite


class MatrixMemory(NamedTuple):
    """The memory of one layer's heads; start from zeros."""

    matrix: Tensor  # C [B, H, V, K]
    normaliser: Tensor  # n [B, H, K]
    stabiliser: Tensor  # m [B, H]


def mlstm_scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    input: Tensor,
    forget: Tensor,
    initial: MatrixMemory,
    lengths: Tensor | None = None,
    chunk: int = 64,
) -> tuple[Tensor, MatrixMemory]:
    """y [B, T, H, V] and the last memory, for q and k [B, T, H, K] and v [B, T, H, V].

    `input` and `forget` [B, T, H] are logarithms of the gates; `forget` is at most 0 for a sigmoid gate. k
    comes scaled (by 1 / √K in the paper). After a row's length y is zero and the memory stays. Raises
    ShapeError.
    """
    _check(q, k, v, input, forget, initial)
    q, k, v, input, forget = _without_padding(q, k, v, input, forget, lengths)
    if v.numel() == 0:
        return v, initial
    # The normaliser is one more row of the matrix: that of a value which is always 1.
    values = torch.cat((v, torch.ones_like(v[..., :1])), dim=-1)
    before = torch.cat((initial.matrix, initial.normaliser.unsqueeze(2)), dim=2)
    total = forget.double().cumsum(1)
    rise, base = input.double() - total, initial.stabiliser.double()
    fall = torch.maximum(rise.cummax(1).values, base.unsqueeze(1))
    read, after = linear_attention(Weighted(values, k, q, rise, fall), base, before, chunk)
    stabiliser = (total + fall).to(v.dtype)
    y = _normalised(read[..., :-1], read[..., -1], stabiliser)
    return zero_padding(y, lengths), MatrixMemory(after[:, :, :-1], after[:, :, -1], stabiliser[:, -1])


def mlstm_step(
    q: Tensor, k: Tensor, v: Tensor, input: Tensor, forget: Tensor, memory: MatrixMemory
) -> tuple[Tensor, MatrixMemory]:
    """One step as the equations stand: q and k [B, H, K], v [B, H, V], the gates [B, H]."""
    m = torch.maximum(forget + memory.stabiliser, input)
    f, i = (forget + memory.stabiliser - m).exp().unsqueeze(-1), (input - m).exp().unsqueeze(-1)
    matrix = f.unsqueeze(-1) * memory.matrix + (i * v).unsqueeze(-1) * k.unsqueeze(-2)
    normaliser = f * memory.normaliser + i * k
    # Sums of products: bit by bit the same in any batch, and in full precision under autocast.
    read = (matrix * q.unsqueeze(-2)).sum(-1)
    return _normalised(read, (normaliser * q).sum(-1), m), MatrixMemory(matrix, normaliser, m)


def mlstm_scan_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    input: Tensor,
    forget: Tensor,
    initial: MatrixMemory,
    lengths: Tensor | None = None,
) -> tuple[Tensor, MatrixMemory]:
    """The same, step by step: the definition that `mlstm_scan` is held to."""
    parts = _without_padding(q, k, v, input, forget, lengths)
    memory, outputs = initial, []
    for q_t, k_t, v_t, i_t, f_t in zip(*(part.unbind(1) for part in parts), strict=True):
        y, memory = mlstm_step(q_t, k_t, v_t, i_t, f_t, memory)
        outputs.append(y)
    return zero_padding(torch.stack(outputs, dim=1), lengths) if outputs else v, memory


def _normalised(read: Tensor, along: Tensor, stabiliser: Tensor) -> Tensor:
    floor = (-stabiliser).clamp(max=_LARGEST).exp()
    return read / (torch.maximum(along.abs(), floor) + EPSILON).unsqueeze(-1)


def _without_padding(
    q: Tensor, k: Tensor, v: Tensor, input: Tensor, forget: Tensor, lengths: Tensor | None
) -> tuple[Tensor, ...]:
    q, k, v, input, forget = zero_padding((q, k, v, input, forget), lengths)
    if lengths is not None:
        input = input.masked_fill(~real_steps(lengths, input.shape[1]).unsqueeze(-1), SHUT)
    return q, k, v, input, forget


def _check(q: Tensor, k: Tensor, v: Tensor, input: Tensor, forget: Tensor, initial: MatrixMemory) -> None:
    rows, _, heads, size = k.shape
    fits = (
        q.shape == k.shape
        and v.shape[:3] == k.shape[:3]
        and input.shape == forget.shape == k.shape[:3]
        and initial.matrix.shape == (rows, heads, v.shape[3], size)
        and initial.normaliser.shape == (rows, heads, size)
        and initial.stabiliser.shape == (rows, heads)
    )
    if not fits:
        given = {"q": q, "k": k, "v": v, "input": input, "forget": forget} | initial._asdict()
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in given.items())
        raise ShapeError(
            f"mlstm_scan: got {shapes}; want q and k [B, T, H, K], v [B, T, H, V], "
            "input and forget [B, T, H], matrix [B, H, V, K], normaliser [B, H, K], stabiliser [B, H]."
        )
