"""A causal convolution of every channel by itself, with its last inputs as a state.

y_t = bias + Σ_k weight_k ⊙ x_{t-K+1+k},   k from 0 to K-1; what comes before x lies in `initial`
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from statewise.core.errors import ShapeError
from statewise.ops.channels import parts, rows_apart
from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.ops.window import last_inputs
from statewise.recurrence import zero_padding

_MOST_TAPS = 64  # the kernels' limit


def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial: Tensor,
    *,
    silu: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """y [B, T, D] of x [B, T, D] under `weight` [D, K], and the last K-1 inputs [B, K-1, D], oldest first.

    `initial` [B, K-1, D] is what came before x. With `silu` y is passed through it. After a row's length y
    is zero. Raises ShapeError when the shapes do not fit.
    """
    _check(x, weight, bias, initial)
    if x.shape[0] == 0 or x.shape[1] == 0:
        return x, initial
    if weight.shape[1] <= _MOST_TAPS and native_for(x, weight, bias, initial):
        made = _CausalConv.apply(x, weight, bias, initial, lengths, silu)  # type: ignore[no-untyped-call]
        return made[0], made[1]
    line = torch.cat((initial, zero_padding(x, lengths)), dim=1)
    y = functional.conv1d(line.transpose(1, 2), weight.unsqueeze(1), bias, groups=weight.shape[0])
    y = y.to(x.dtype)  # autocast has its own view of a convolution
    y = functional.silu(y) if silu else y
    return zero_padding(y.transpose(1, 2), lengths), last_inputs(line, weight.shape[1] - 1, lengths)


def causal_conv_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial: Tensor,
    *,
    silu: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same, step by step: the definition that `causal_conv` is held to."""
    x = zero_padding(x, lengths)
    tail, rows = initial, []
    for t, x_t in enumerate(x.unbind(1)):
        window = torch.cat((tail, x_t.unsqueeze(1)), dim=1)
        total = (window * weight.t()).sum(1)
        total = total if bias is None else total + bias
        rows.append(functional.silu(total) if silu else total)
        after = window[:, 1:]
        tail = after if lengths is None else torch.where((t < lengths).view(-1, 1, 1), after, tail)
    return (zero_padding(torch.stack(rows, dim=1), lengths), tail) if rows else (x, initial)


class _CausalConv(torch.autograd.Function):
    """The compiled form, which computes the sums under silu again in backward."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        x, weight, bias, initial, lengths, silu = given
        tensors = [
            rows_apart(x),
            *(None if t is None else t.contiguous() for t in (weight, bias, initial, lengths)),
        ]
        native = native_for(x)
        assert native is not None
        y, tail = x.new_empty(x.shape), initial.new_empty(initial.shape)
        ctx.silu = silu
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        _kernel(native, "forward", x)(*map(pointer, (*tensors, y, tail)), *_sizes(tensors, silu))
        return y, tail

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor | None, grad_tail: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, bias, initial, _ = tensors = ctx.saved_tensors
        native = native_for(x)
        assert native is not None
        grad_y = x.new_zeros(x.shape) if grad_y is None else grad_y.contiguous()
        grad_tail = None if grad_tail is None else grad_tail.contiguous()
        grad_x, grad_initial = x.new_empty(x.shape), torch.empty_like(initial)
        totals = [None if t is None else t.new_empty(len(x), *t.shape) for t in (weight, bias)]
        given = (*tensors, grad_y, grad_tail, grad_x, *totals, grad_initial)
        _kernel(native, "backward", x)(*map(pointer, given), *_sizes(tensors, ctx.silu))
        grad_weight, grad_bias = (None if t is None else t.sum(0) for t in totals)
        return grad_x, grad_weight, grad_bias, grad_initial, None, None


def _sizes(tensors: Any, silu: bool) -> tuple[int, ...]:
    x, weight = tensors[:2]
    return *x.shape, weight.shape[1], x.stride(1), int(silu), parts(len(x), x.shape[2]), threads()


def _kernel(native: ModuleType, name: str, like: Tensor) -> Any:
    return getattr(native, kernel_name(f"causal_conv_{name}", like))


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, initial: Tensor) -> None:
    fits = x.dim() == 3 and weight.dim() == 2 and weight.shape[0] == x.shape[2] and weight.shape[1] > 0
    if (
        fits
        and initial.shape == (x.shape[0], weight.shape[1] - 1, x.shape[2])
        and (bias is None or len(bias) == len(weight))
    ):
        return
    got = f"x {list(x.shape)}, weight {list(weight.shape)}, initial {list(initial.shape)}"
    raise ShapeError(f"causal_conv: got {got}, want [B, T, D], [D, K] and [B, K-1, D] (and a bias [D]).")
