"""The gated delta rule: a matrix memory that first takes out what it holds under a key, then writes.

Source: Yang, Kautz and Hatamizadeh 2024, "Gated delta networks", equation 10; in chunks after section 3.3
(the WY form of Bischof and Van Loan 1987). With state S [V, K] per head and keys of length 1:

    S_t = exp(decay_t) S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ,      y_t = S_t q_t

β in (0, 1) shrinks what stood under the key, β in (1, 2) turns its sign (Grazzi et al. 2024).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.core.errors import ShapeError
from statewise.ops.linear_attention import (
    CHUNKS,
    chunks,
    decay_matrix,
    joined,
    levels,
    lines,
    places,
    recomputed,
    segments,
)
from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.recurrence import zero_padding


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    decay: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """y [B, T, H, V] and the last state [B, H, V, K], for q and k [B, T, H, K] and v [B, T, H, V].

    `beta` and `decay` [B, T, H], `decay` a logarithm, at most 0; `initial` [B, H, V, K]. After a row's length
    y is zero and the state stays. Raises ShapeError.
    """
    _check(q, k, v, beta, decay, initial)
    q, k, v, beta, decay = zero_padding((q, k, v, beta, decay), lengths)
    if v.numel() == 0:
        return v, initial
    if native_for(q, k, v, beta, decay, initial) is not None:
        level = -decay.double().cumsum(1)
        made: tuple[Tensor, Tensor] = _Native.apply(q, k, v, beta, level, initial, chunk)  # type: ignore[no-untyped-call]
        return made
    state, outputs = initial, []
    with torch.autocast(state.device.type, enabled=False):
        for part in segments((q, k, v, beta, decay), chunk):
            y, state = recomputed(_segment, v, *part, state, chunk)
            outputs.append(y)
    return torch.cat(outputs, dim=1), state


def delta_rule_step(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step as the equations stand: q and k [B, H, K], v [B, H, V], `beta` and `decay` [B, H]."""
    # Sums of products: bit by bit the same in any batch, and in full precision under autocast.
    state = decay.exp()[..., None, None] * state
    written = beta.unsqueeze(-1) * (v - (state * k.unsqueeze(-2)).sum(-1))
    state = state + written.unsqueeze(-1) * k.unsqueeze(-2)
    return (state * q.unsqueeze(-2)).sum(-1), state


def delta_rule_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    decay: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same, step by step: the definition that `delta_rule` is held to."""
    parts = zero_padding((q, k, v, beta, decay), lengths)
    state, outputs = initial, []
    for q_t, k_t, v_t, beta_t, decay_t in zip(*(part.unbind(1) for part in parts), strict=True):
        y, state = delta_rule_step(q_t, k_t, v_t, beta_t, decay_t, state)
        outputs.append(y)
    return zero_padding(torch.stack(outputs, dim=1), lengths) if outputs else v, state


def _segment(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, decay: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """What step t writes, u_t, depends on the writes before it in the chunk and on the state S before it:

    (I + A) u = β v - β exp(level) k S,   A_ts = β_t exp(level_t - level_s) k_t · k_s for s < t

    So one triangular system per chunk gives u = own - seen S, and the state's way through a chunk is one
    matrix product.
    """
    time, dtype = v.shape[1], v.dtype
    chunk = min(chunk, time)
    q, k, v, beta = (chunks(part, chunk) for part in (q, k, v, beta))
    level = levels(decay.double().cumsum(1), chunk)
    before = torch.cat((torch.zeros_like(level[:, :1, :, -1]), level[:, :-1, :, -1]), dim=1).unsqueeze(-1)
    last = level[..., -1:]
    kept = (level - before).exp().to(dtype).unsqueeze(-1)
    fading = (last - level).exp().to(dtype).unsqueeze(-1)
    decays, beta = decay_matrix(-level, -level, dtype), beta.unsqueeze(-1)

    overlap = (beta * (k @ k.transpose(-1, -2)) * decays).tril(-1)
    wanted = torch.cat((beta * v, beta * kept * k), dim=-1)
    solved = torch.linalg.solve_triangular(overlap, wanted, upper=False, unitriangular=True)
    own, seen = solved.split((v.shape[-1], k.shape[-1]), dim=-1)

    faded = k * fading
    added = own.transpose(-1, -2) @ faded
    passed = seen.transpose(-1, -2) @ faded
    keep = (last - before).exp().to(dtype).unsqueeze(-1)
    starts = []
    for keep_c, passed_c, added_c in zip(keep.unbind(1), passed.unbind(1), added.unbind(1), strict=True):
        starts.append(state)
        state = torch.addcmul(added_c, keep_c, state) - state @ passed_c
    start = torch.stack(starts, dim=1).transpose(-1, -2)
    written = own - seen @ start
    inside = ((q @ k.transpose(-1, -2)) * decays) @ written
    return joined(torch.addcmul(inside, kept, q @ start), time), state


class _Native(torch.autograd.Function):
    """The compiled form. It keeps one state in `CHUNKS` chunks and makes the others again on the way back."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        q, k, v, beta, level, initial, chunk = given
        q, k, v = (lines(part) for part in (q, k, v))
        beta, level, initial = (part.contiguous() for part in (beta, level, initial))
        rows, time, heads, size = v.shape
        sizes = (rows, time, heads, k.shape[3], size, chunk, CHUNKS)
        spans = -(-time // (chunk * CHUNKS)) if any(ctx.needs_input_grad) else 0
        y, last = v.new_empty(v.shape), torch.empty_like(initial)
        starts = v.new_empty(rows, heads, spans, k.shape[3], size)
        module = native_for(v)
        getattr(module, kernel_name("delta_rule_forward", v))(
            *places(q, k, v),
            *map(pointer, (beta, level, initial, y)),
            pointer(starts) if spans else 0,
            pointer(last),
            *sizes,
            threads(),
        )
        ctx.save_for_backward(q, k, v, beta, level, starts)
        ctx.sizes = sizes
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, beta, level, starts = ctx.saved_tensors
        grad_y, grad_last = (grad.contiguous() for grad in grads)
        made = [part.new_empty(part.shape) for part in (q, k, v, beta, level, grad_last)]
        module = native_for(v)
        getattr(module, kernel_name("delta_rule_backward", v))(
            *places(q, k, v),
            *map(pointer, (beta, level, starts, grad_y, grad_last, *made)),
            *ctx.sizes,
            threads(),
        )
        return (*made, None)


def _check(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, decay: Tensor, initial: Tensor) -> None:
    rows, _, heads, size = k.shape
    fits = (
        q.shape == k.shape
        and v.shape[:3] == k.shape[:3]
        and beta.shape == decay.shape == k.shape[:3]
        and initial.shape == (rows, heads, v.shape[3], size)
    )
    if not fits:
        given = (("q", q), ("k", k), ("v", v), ("beta", beta), ("decay", decay), ("initial", initial))
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in given)
        want = "q and k [B, T, H, K], v [B, T, H, V], beta and decay [B, T, H], initial [B, H, V, K]"
        raise ShapeError(f"delta_rule: got {shapes}; want {want}.")
