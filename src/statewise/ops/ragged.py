"""Sequences of different lengths laid end to end, so that no work is done on padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.recurrence import real_steps


def pack(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The real steps [N, F] of `x` [B, T, F]: those of row 0, then those of row 1, … (all for no lengths)."""
    if lengths is None:
        return x.reshape(-1, x.shape[2])
    packed: Tensor = _Pack.apply(x, lengths.to(torch.int64).contiguous())  # type: ignore[no-untyped-call]
    return packed


def unpack(steps: Tensor, lengths: Tensor | None, batch: int, time: int) -> Tensor:
    """The inverse of `pack`: [B, T, F], zero after each row's length."""
    if lengths is None:
        return steps.view(batch, time, steps.shape[1])
    lengths = lengths.to(torch.int64).contiguous()
    padded: Tensor = _Unpack.apply(steps, lengths, time)  # type: ignore[no-untyped-call]
    return padded


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor) -> Tensor:
        ctx.save_for_backward(lengths)
        ctx.time = x.shape[1]
        return _packed(x, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (lengths,) = ctx.saved_tensors
        return _unpacked(grad, lengths, ctx.time), None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, steps: Tensor, lengths: Tensor, time: int) -> Tensor:
        ctx.save_for_backward(lengths)
        return _unpacked(steps, lengths, time)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (lengths,) = ctx.saved_tensors
        return _packed(grad, lengths), None, None


def _packed(x: Tensor, lengths: Tensor) -> Tensor:
    batch, time, size = x.shape
    module = native_for(x.detach())
    if module is None:
        return x.flatten(0, 1).index_select(0, _places(lengths, time))
    x, steps = x.contiguous(), x.new_empty(int(lengths.sum()), size)
    given = map(pointer, (x, lengths, steps))
    getattr(module, kernel_name("ragged_pack", x))(*given, batch, time, size, threads())
    return steps


def _unpacked(steps: Tensor, lengths: Tensor, time: int) -> Tensor:
    batch, size = len(lengths), steps.shape[1]
    module = native_for(steps.detach())
    if module is None:
        padded = steps.new_zeros(batch * time, size)
        return padded.index_copy_(0, _places(lengths, time), steps).view(batch, time, size)
    steps, padded = steps.contiguous(), steps.new_empty(batch, time, size)
    given = map(pointer, (steps, lengths, padded))
    getattr(module, kernel_name("ragged_unpack", steps))(*given, batch, time, size, threads())
    return padded


def _places(lengths: Tensor, time: int) -> Tensor:
    return real_steps(lengths, time).flatten().nonzero().squeeze(1)
