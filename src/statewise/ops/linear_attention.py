"""Memory as a sum of weighted outer products, read by queries: what SSD and the mLSTM have in common.

With values x_s [P], keys k_s [N], queries q_t [N] and real numbers rise and fall:

    state_t = exp(base - fall_t) state_0 + Σ_{s ≤ t} exp(rise_s - fall_t) x_s k_sᵀ,      y_t = state_t q_t

Inside a chunk of L steps that is two matrix products with an L × L matrix between them; from chunk to chunk
only the state is handed over (Sun et al. 2023, "Retentive network", section 2.3; Dao and Gu 2024, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from statewise.ops.native import kernel_name, native_for, pointer, threads

# Steps worked on at once: enough for full matrix products, few enough that what lies between them stays in
# the cache. Of longer sequences only the states between segments are kept, the rest is computed again.
SEGMENT = 1024
KEPT = 8192
CHUNKS = 8  # of the compiled form: states are kept once in so many chunks


class Weighted(NamedTuple):
    """A sequence for `linear_attention`; heads are H, groups of heads that share keys and queries are G."""

    values: Tensor  # [B, T, H, P]
    keys: Tensor  # [B, T, G, N]
    queries: Tensor  # [B, T, G, N]
    rise: Tensor  # [B, T, H], float64
    fall: Tensor  # [B, T, H], float64: never below the rise of a step before it by more than exp allows


def linear_attention(sequence: Weighted, base: Tensor, state: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """y [B, T, H, P] and the last state [B, H, P, N], scaled by exp(-fall) of the last step; T ≥ 1.

    `base` [B, H] in float64 is the scale of `state`. Heads are G groups in a row.
    """
    if native_for(*sequence[:3], state) is not None:
        made: tuple[Tensor, Tensor] = _Native.apply(*sequence, base, state, chunk)  # type: ignore[no-untyped-call]
        return made
    outputs = []
    with torch.autocast(state.device.type, enabled=False):
        for part in segments(sequence, chunk):
            y, state, base = recomputed(_segment, sequence.values, *part, base, state, chunk)
            outputs.append(y)
    return torch.cat(outputs, dim=1), state


def segments(parts: Sequence[Tensor], chunk: int) -> list[tuple[Tensor, ...]]:
    """Consecutive spans of about SEGMENT steps, whole chunks but for the last."""
    size = max(1, SEGMENT // chunk) * chunk
    return list(zip(*(torch.split(part, size, dim=1) for part in parts), strict=True))


def recomputed(run: Any, whole: Tensor, *arguments: Any) -> Any:
    """`run(*arguments)`; on the way back computed again when `whole` [B, T, ...] has many steps."""
    if whole.shape[1] <= KEPT or not torch.is_grad_enabled():
        return run(*arguments)
    return checkpoint(run, *arguments, use_reentrant=False, preserve_rng_state=False)


def chunks(part: Tensor, chunk: int) -> Tensor:
    """[B, T, H, ...] as [B, T / L, H, L, ...], the last chunk filled up with zeros."""
    missing = -part.shape[1] % chunk
    if missing:
        part = functional.pad(part, (0, 0) * (part.dim() - 2) + (0, missing))
    return torch.unflatten(part, 1, (-1, chunk)).transpose(2, 3)


def levels(part: Tensor, chunk: int) -> Tensor:
    """[B, T, H] as [B, T / L, H, L]: as `chunks`, but the last chunk repeats its last value."""
    missing = -part.shape[1] % chunk
    if missing:
        part = torch.cat((part, part[:, -1:].expand(-1, missing, -1)), dim=1)
    return torch.unflatten(part, 1, (-1, chunk)).transpose(2, 3)


def joined(part: Tensor, time: int) -> Tensor:
    """The inverse of `chunks`: [B, T / L, H, L, ...] as [B, T, H, ...]."""
    return part.transpose(2, 3).flatten(1, 2)[:, :time]


def _segment(
    values: Tensor,
    keys: Tensor,
    queries: Tensor,
    rise: Tensor,
    fall: Tensor,
    base: Tensor,
    state: Tensor,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:
    time, dtype = values.shape[1], values.dtype
    chunk = min(chunk, time)
    x, k, q = chunks(values, chunk), chunks(keys, chunk), chunks(queries, chunk)
    rise, fall = levels(rise, chunk), levels(fall, chunk)
    last = fall[..., -1]
    before = torch.cat((base.unsqueeze(1), last[:, :-1]), dim=1)
    heads = x.shape[2] // k.shape[2]

    scores = q @ k.transpose(-1, -2)
    weights = torch.unflatten(decay_matrix(rise, fall, dtype), 2, (-1, heads)) * scores.unsqueeze(3)
    inside = weights.flatten(2, 3) @ x

    fading = (rise - last.unsqueeze(-1)).exp().to(dtype)
    added = _by_group(x * fading.unsqueeze(-1), heads).transpose(-1, -2) @ k
    added = torch.unflatten(added, 3, (heads, -1)).flatten(2, 3)
    keep = (before - last).exp().to(dtype)[..., None, None]
    starts = []
    for keep_c, added_c in zip(keep.unbind(1), added.unbind(1), strict=True):
        starts.append(state)
        state = torch.addcmul(added_c, keep_c, state)
    start = torch.unflatten(torch.stack(starts, dim=1), 2, (-1, heads)).flatten(3, 4)
    across = torch.unflatten(q @ start.transpose(-1, -2), -1, (heads, -1)).transpose(3, 4).flatten(2, 3)
    kept = (before.unsqueeze(-1) - fall).exp().to(dtype).unsqueeze(-1)
    return joined(torch.addcmul(inside, kept, across), time), state, last[:, -1]


def _by_group(x: Tensor, heads: int) -> Tensor:
    """[B, c, G · heads, L, P] as [B, c, G, L, heads · P]."""
    return torch.unflatten(x, 2, (-1, heads)).transpose(3, 4).flatten(4, 5)


def decay_matrix(rise: Tensor, fall: Tensor, dtype: torch.dtype) -> Tensor:
    """exp(rise_s - fall_t) [..., t, s] for s ≤ t, else 0; `rise` and `fall` [..., L] in float64."""
    matrix: Tensor = _DecayMatrix.apply(rise, fall, dtype)  # type: ignore[no-untyped-call]
    return matrix


class _DecayMatrix(torch.autograd.Function):
    """Keeps its result only. The difference is taken in float64: in float32 two large sums would not do."""

    @staticmethod
    def forward(ctx: Any, rise: Tensor, fall: Tensor, dtype: torch.dtype) -> Tensor:
        matrix = (rise.unsqueeze(-2) - fall.unsqueeze(-1)).to(dtype).exp_().tril_()
        ctx.save_for_backward(matrix)
        return matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (matrix,) = ctx.saved_tensors
        total = grad * matrix
        return total.sum(-2).double(), -total.sum(-1).double(), None


class _Native(torch.autograd.Function):
    """The compiled form. It keeps one state in `CHUNKS` chunks and makes the others again on the way back."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        x, k, q, rise, fall, base, state, chunk = given
        x, k, q = (lines(part) for part in (x, k, q))
        rise, fall, base, state = (part.contiguous() for part in (rise, fall, base, state))
        sizes = (*x.shape[:3], k.shape[2], x.shape[3], k.shape[3], chunk, CHUNKS)
        rows, time, heads, size = x.shape
        spans = -(-time // (chunk * CHUNKS)) if any(ctx.needs_input_grad) else 0
        y, last = x.new_empty(x.shape), torch.empty_like(state)
        starts = x.new_empty(rows, heads, spans, k.shape[3], size)
        module = native_for(x)
        getattr(module, kernel_name("linear_attention_forward", x))(
            *places(x, k, q),
            *map(pointer, (rise, fall, base, state, y)),
            pointer(starts) if spans else 0,
            pointer(last),
            *sizes,
            threads(),
        )
        ctx.save_for_backward(x, k, q, rise, fall, base, starts)
        ctx.sizes = sizes
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, k, q, rise, fall, base, starts = ctx.saved_tensors
        grad_y, grad_last = (grad.contiguous() for grad in grads)
        heads, groups = x.shape[2], k.shape[2]
        grad_x, grad_state = torch.empty_like(grad_y), torch.empty_like(grad_last)
        grad_k, grad_q = (x.new_empty(*x.shape[:3], k.shape[3]) for _ in range(2))
        levels = [torch.empty_like(part) for part in (rise, fall, base)]
        module = native_for(x)
        getattr(module, kernel_name("linear_attention_backward", x))(
            *places(x, k, q),
            *map(pointer, (rise, fall, base, starts, grad_y, grad_last, grad_x, grad_k, grad_q)),
            *map(pointer, (*levels, grad_state)),
            *ctx.sizes,
            threads(),
        )
        if groups < heads:
            grad_k, grad_q = (torch.unflatten(part, 2, (groups, -1)).sum(3) for part in (grad_k, grad_q))
        return grad_x, grad_k, grad_q, *levels, grad_state, None


def lines(part: Tensor) -> Tensor:
    """`part` [B, T, H, D] itself when the elements of a line are neighbours, else a copy."""
    return part if part.stride(3) == 1 else part.contiguous()


def places(*parts: Tensor) -> tuple[int, ...]:
    """For each [B, T, H, D]: where its values begin, and its strides of batch, time and head."""
    return tuple(number for part in parts for number in (pointer(part), *part.stride()[:3]))
