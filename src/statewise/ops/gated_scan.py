"""The compiled scans whose coefficients are made of gates on the way: those of minGRU and minLSTM."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.core.errors import ShapeError
from statewise.ops.channels import rows_apart
from statewise.ops.native import kernel_name, native_for, pointer, threads


def gated_scan(
    name: str, inputs: tuple[Tensor, ...], initial: Tensor, lengths: Tensor | None, positive: bool
) -> Tensor:
    """All h [B, T, D] of the kernels `name`_forward and `name`_backward, from `inputs` [B, T, D] each.

    Call it where `native_for` gives the kernels. The gradients of the inputs lie side by side in one tensor.
    """
    h: Tensor = _GatedScan.apply(name, positive, lengths, initial, *inputs)  # type: ignore[no-untyped-call]
    return h


class _GatedScan(torch.autograd.Function):
    """Keeps the inputs and h, and computes the gates again in backward."""

    @staticmethod
    def forward(
        ctx: Any, name: str, positive: bool, lengths: Tensor | None, initial: Tensor, *inputs: Tensor
    ) -> Tensor:
        inputs, initial = tuple(map(rows_apart, inputs)), initial.contiguous()
        lengths = None if lengths is None else lengths.contiguous()
        h = initial.new_empty(inputs[0].shape)
        ctx.name, ctx.positive = name, positive
        ctx.save_for_backward(lengths, initial, h, *inputs)
        _kernel(f"{name}_forward", h)(*_given(inputs, initial, lengths, positive), pointer(h))
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        lengths, initial, h, *inputs = ctx.saved_tensors
        grad = grad.contiguous()  # held by a name: the kernel gets an address only
        whole = h.new_empty(*h.shape[:2], len(inputs) * h.shape[2])
        grads, grad_initial = whole.chunk(len(inputs), dim=-1), torch.empty_like(initial)
        pointers = map(pointer, (h, grad, *grads, grad_initial))
        given = _given(inputs, initial, lengths, ctx.positive)
        _kernel(f"{ctx.name}_backward", h)(*given, *pointers, whole.shape[2])
        return None, None, None, grad_initial, *grads


def _given(inputs: Any, initial: Tensor, lengths: Tensor | None, positive: bool) -> tuple[int, ...]:
    steps, sizes = (x.stride(1) for x in inputs), inputs[0].shape
    return *map(pointer, (*inputs, initial, lengths)), *steps, *sizes, int(positive), threads()


def _kernel(name: str, like: Tensor) -> Any:
    native: ModuleType | None = native_for(like)
    return getattr(native, kernel_name(name, like))


def check(where: str, initial: Tensor, **inputs: Tensor) -> None:
    """Raise ShapeError unless all inputs have one shape [B, T, D] and `initial` is [B, D]."""
    given = list(inputs.values())
    shape = given[0].shape
    if len(shape) == 3 and all(x.shape == shape for x in given) and initial.shape == (shape[0], shape[2]):
        return
    got = ", ".join(f"{name} {list(x.shape)}" for name, x in {**inputs, "initial": initial}.items())
    raise ShapeError(f"{where}: got {got}, want {' and '.join(inputs)} [B, T, D] and initial [B, D].")
