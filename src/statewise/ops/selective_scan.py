"""The selective scan of Mamba (Gu and Dao 2023, equations 2a and 4, algorithm 2) over a whole sequence.

With Δ = softplus(delta + delta_bias), for every channel d of D and every n of N:

    s_t = exp(Δ_t A) s_{t-1} + Δ_t B_t u_t,   y_t = (Σ_n C_t s_t + D u_t) · silu(gate_t)

The compiled form keeps the states before every 32 steps only, and computes the others again in backward.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from statewise.core.errors import ShapeError
from statewise.ops.channels import lanes, parts, rows_apart
from statewise.ops.gpu import gpu_for
from statewise.ops.linear_scan import linear_scan
from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.recurrence import last_real, zero_padding

_CHUNK = 32  # steps between two kept states


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    initial: Tensor,
    *,
    gate: Tensor | None = None,
    delta_bias: Tensor | None = None,
    softplus: bool = True,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """All y [B, T, D] and the last state [B, D, N] from `u`, `delta`, `gate` [B, T, D], `B`, `C` [B, T, N].

    `A` is [D, N], `D` and `delta_bias` [D], `initial` [B, D, N]. With softplus=False Δ = delta + delta_bias.
    After a row's length y is zero. Raises ShapeError when the shapes do not fit.
    """
    _check(u, delta, A, B, C, D, initial, gate, delta_bias)
    if u.shape[0] == 0 or u.shape[1] == 0:
        return u, initial
    gpu = gpu_for("selective_scan", u, delta, A, B, C, D, initial, gate, delta_bias)
    if gpu is not None:
        options = {"gate": gate, "delta_bias": delta_bias, "softplus": softplus, "lengths": lengths}
        return cast(tuple[Tensor, Tensor], gpu.selective_scan(u, delta, A, B, C, D, initial, **options))
    if native_for(u, delta, A, B, C, D, initial, gate, delta_bias):
        given = (u, delta, A, B, C, D, initial, gate, delta_bias, lengths, softplus)
        y, state = _SelectiveScan.apply(*given)  # type: ignore[no-untyped-call]
        return y, state
    u, delta, B, C = zero_padding((u, delta, B, C), lengths)
    delta = _delta(delta, delta_bias, softplus).unsqueeze(-1)
    states = linear_scan((delta * A).exp(), delta * B.unsqueeze(2) * u.unsqueeze(-1), initial, lengths)
    y = (states @ C.unsqueeze(-1)).squeeze(-1) + D * u
    if gate is not None:
        y = y * functional.silu(zero_padding(gate, lengths))
    return zero_padding(y, lengths), last_real(states, initial, lengths)


def selective_scan_reference(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    initial: Tensor,
    *,
    gate: Tensor | None = None,
    delta_bias: Tensor | None = None,
    softplus: bool = True,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same, step by step: the definition that `selective_scan` is held to."""
    u, delta, B, C = zero_padding((u, delta, B, C), lengths)
    state, rows = initial, []
    for t, (u_t, delta_t, B_t, C_t) in enumerate(
        zip(*(part.unbind(1) for part in (u, delta, B, C)), strict=True)
    ):
        step = _delta(delta_t, delta_bias, softplus).unsqueeze(-1)
        after = (step * A).exp() * state + step * B_t.unsqueeze(1) * u_t.unsqueeze(-1)
        state = after if lengths is None else torch.where((t < lengths).view(-1, 1, 1), after, state)
        rows.append((state * C_t.unsqueeze(1)).sum(-1) + D * u_t)
    if not rows:
        return u, initial
    y = torch.stack(rows, dim=1)
    if gate is not None:
        y = y * functional.silu(zero_padding(gate, lengths))
    return zero_padding(y, lengths), state


class _SelectiveScan(torch.autograd.Function):
    """The compiled form."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        tensors, softplus = [_dense(t) for t in given[:-1]], given[-1]
        u, initial = tensors[0], tensors[6]
        native = native_for(*tensors[:-1])
        assert native is not None
        assert u is not None
        assert initial is not None
        y, state, kept = u.new_empty(u.shape), torch.empty_like(initial), None
        if any(ctx.needs_input_grad):
            batch, time, width = u.shape
            chunks = -(-time // _CHUNK)
            kept = u.new_empty(batch * chunks * lanes(width) * initial.shape[2])
        ctx.softplus = softplus
        ctx.save_for_backward(*tensors, kept)
        ctx.set_materialize_grads(False)
        outputs = map(pointer, (y, state, kept))
        _kernel(native, "forward", u)(*_arguments(tensors, softplus), *outputs)
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor | None, grad_state: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        u, _, A, B, C, D, initial, gate, bias, _ = tensors
        native = native_for(u)
        assert native is not None
        batch = len(u)
        grad_y = u.new_zeros(u.shape) if grad_y is None else grad_y.contiguous()
        grad_state = None if grad_state is None else grad_state.contiguous()
        sequences = [None if t is None else t.new_empty(u.shape) for t in (u, u, gate)]
        selected = [t.new_empty(parts(len(u), u.shape[2]), *t.shape) for t in (B, C)]
        totals = [None if t is None else t.new_empty(batch, *t.shape) for t in (A, D, bias)]
        start = torch.empty_like(initial)
        given = (
            kept,
            grad_y,
            grad_state,
            *sequences[:2],
            totals[0],
            *selected,
            totals[1],
            start,
            sequences[2],
        )
        outputs = map(pointer, (*given, totals[2]))
        _kernel(native, "backward", u)(*_arguments(tensors, ctx.softplus), *outputs)
        grad_A, grad_D, grad_bias = (None if t is None else t.sum(0) for t in totals)
        grad_B, grad_C = (t.sum(0) if len(t) > 1 else t[0] for t in selected)
        first = (sequences[0], sequences[1], grad_A, grad_B, grad_C, grad_D, start, sequences[2], grad_bias)
        return *first, None, None


def _arguments(tensors: list[Any], softplus: bool) -> tuple[int, ...]:
    """The part of a call that forward and backward share."""
    u, delta, _, B, C, _, initial, gate, _, _ = tensors
    steps = [0 if t is None else t.stride(1) for t in (u, delta, B, C, gate)]
    sizes = (*u.shape, initial.shape[2], *steps)
    return *map(pointer, tensors), *sizes, int(softplus), _CHUNK, parts(len(u), u.shape[2]), threads()


def _dense(tensor: Tensor | None) -> Tensor | None:
    if tensor is None or tensor.dim() != 3:
        return None if tensor is None else tensor.contiguous()
    return rows_apart(tensor)


def _kernel(native: ModuleType, name: str, like: Tensor) -> Any:
    return getattr(native, kernel_name(f"selective_scan_{name}", like))


def _delta(delta: Tensor, bias: Tensor | None, softplus: bool) -> Tensor:
    shifted = delta if bias is None else delta + bias
    return functional.softplus(shifted) if softplus else shifted


def _check(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    initial: Tensor,
    gate: Tensor | None,
    bias: Tensor | None,
) -> None:
    if u.dim() == 3 and A.dim() == 2:
        (rows, time, width), states = u.shape, A.shape[1]
        selected, channels = (rows, time, states), (width,)
        want = {"delta": (delta, u.shape), "A": (A, (width, states)), "B": (B, selected), "C": (C, selected)}
        want |= {"D": (D, channels), "initial": (initial, (rows, width, states))}
        want |= {} if gate is None else {"gate": (gate, u.shape)}
        want |= {} if bias is None else {"delta_bias": (bias, channels)}
        for name, (tensor, shape) in want.items():
            if tensor.shape != shape:
                got = f"{name} of shape {list(tensor.shape)}"
                raise ShapeError(f"selective_scan: got {got}, want {list(shape)} (u is {list(u.shape)}).")
        return
    got = f"u {list(u.shape)} and A {list(A.shape)}"
    raise ShapeError(f"selective_scan: got {got}, want [B, T, D] and [D, N].")
