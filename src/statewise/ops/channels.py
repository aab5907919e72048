"""How the kernels of the scans take their sequences: channels side by side, rows a fixed step apart."""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch import Tensor

from statewise.ops.native import threads

_LANES = 16  # the kernels' widest register, in channels


def rows_apart(tensor: Tensor) -> Tensor:
    """`tensor` [B, T, D] if its channels lie side by side and its rows T steps apart, else such a copy."""
    dense = tensor.stride(2) == 1 and tensor.stride(0) == tensor.shape[1] * tensor.stride(1)
    return tensor if dense and min(tensor.shape[1:]) > 1 else tensor.contiguous()


def parts(batch: int, width: int) -> int:
    """How many parts the `width` channels of a row are cut into, so that all threads have the same to do."""
    return max(1, min(threads() // gcd(max(batch, 1), threads()), -(-width // _LANES)))


def lanes(width: int) -> int:
    """`width` rounded up to whole registers."""
    return -(-width // _LANES) * _LANES


def columns(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """`x` [B, T, count · D] as `count` views [B, T, D].

    Unlike chunk, its gradient copies nothing when those of the views lie side by side in one tensor already,
    which the kernels that take several of them see to.
    """
    found: tuple[Tensor, ...] = _Columns.apply(x, count)  # type: ignore[no-untyped-call]
    return found


class _Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, ...]:
        return tuple(x.chunk(count, dim=-1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        whole = None if torch.is_grad_enabled() else _joined(grads)
        return torch.cat(grads, dim=-1) if whole is None else whole, None


def _joined(grads: tuple[Tensor, ...]) -> Tensor | None:
    """The tensor whose columns `grads` are, if they are."""
    first, count = grads[0], len(grads)
    if first.dim() < 2 or first.stride(-1) != 1 or first.stride(-2) != count * first.shape[-1]:
        return None
    for place, grad in enumerate(grads):
        beside = grad.data_ptr() == first.data_ptr() + place * first.shape[-1] * first.element_size()
        if (
            not beside
            or grad.stride() != first.stride()
            or grad.shape != first.shape
            or grad.dtype != first.dtype
        ):
            return None
    return first.as_strided((*first.shape[:-1], count * first.shape[-1]), first.stride())
