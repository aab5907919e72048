"""The affine map of every projection, at the machine's speed.

torch's float32 product is MKL's, which runs a slower path on processors that are not Intel's; the packed
product of `native/core/gemm.h` does not (`python -m benchmarks.speed.matrix_product` shows both).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from statewise.core.native import extension
from statewise.ops.native import native_for, pointer, threads

SMALL = 1 << 20  # multiply-adds below which the call costs more than the slower product


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., I] times `weight` [O, I] transposed, plus `bias` [O]: [..., O].

    The compiled product where it is the faster one (float32 on the CPU, not small, not an Intel processor),
    else torch.nn.functional.linear. Differentiable, twice too.
    """
    if torch.compiler.is_compiling():  # a choice by size would tie an exported graph to its batch
        return functional.linear(x, weight, bias)
    if x.numel() * weight.shape[0] < SMALL or x.dtype != torch.float32 or not faster():
        return functional.linear(x, weight, bias)
    if torch.is_autocast_enabled("cpu") or native_for(x, weight, bias) is None:
        return functional.linear(x, weight, bias)
    made: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return made


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        out = x.new_empty(*x.shape[:-1], weight.shape[0])
        product(x.reshape(-1, x.shape[-1]), weight.t(), out.view(-1, weight.shape[0]), bias)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        want_x, want_weight, want_bias = ctx.needs_input_grad
        rows, flat = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        grad_bias = rows.sum(dim=0) if want_bias else None
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted: leave it to torch
            return grad @ weight if want_x else None, rows.t() @ flat if want_weight else None, grad_bias
        grad_x = product(rows, weight, torch.empty_like(flat)).view_as(x) if want_x else None
        grad_weight = product(rows.t(), flat, torch.empty_like(weight)) if want_weight else None
        return grad_x, grad_weight, grad_bias


def product(a: Tensor, b: Tensor, out: Tensor, bias: Tensor | None = None, add: bool = False) -> Tensor:
    """`out` [M, N] = a [M, K] b [K, N] + `bias` [N], or `out` += a b; float32, any strides of a and b.

    The compiled kernel: call it where `native_for` gives one.
    """
    module = native_for(a, b, out, bias)
    assert module is not None
    assert out.stride(1) == 1
    (rows, deep), columns = a.shape, b.shape[1]
    left, right = (pointer(a), *a.stride()), (pointer(b), *b.stride())
    bias = None if bias is None else bias.contiguous()
    module.gemm_f32(
        *left, *right, pointer(out), out.stride(0), rows, columns, deep, pointer(bias), int(add), threads()
    )
    return out


@cache
def faster() -> bool:
    """Whether the compiled product is the faster one on this machine."""
    module = extension()
    return module is not None and module.vendor() != "intel" and module.target() != "plain"
