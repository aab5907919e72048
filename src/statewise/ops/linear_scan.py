"""The linear recurrence h_t = a_t · h_{t-1} + b_t over a whole sequence.

On a CPU the plain loop over time in compiled code is bound by memory alone. Without it, time is cut into √T
chunks that are scanned side by side (Blelloch 1990, section 1.2): from zero to get each chunk's end, over
these ends, and once more from the right starts, which is 3 √T small steps instead of T.
"""

from __future__ import annotations

from math import isqrt
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.gpu import gpu_for
from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.recurrence import zero_padding


def linear_scan(a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None = None) -> Tensor:
    """All h [B, T, ...] of h_t = a_t · h_{t-1} + b_t, elementwise, from h = `initial` [B, ...].

    `b` is [B, T, ...] and `a` like it, or of size 1 in B, in T or in both: what is constant there is neither
    copied nor read again. Both real or both complex; T may be 0. After a row's length h is zero.
    Differentiable, twice too. Raises ShapeError when the shapes do not fit.
    """
    _check(a, b, initial)
    if b.shape[1] == 0:
        return b
    gpu = gpu_for("linear_scan", a, b, initial)
    if gpu is not None:
        return cast(Tensor, gpu.linear_scan(a, b, initial, lengths))
    h: Tensor = _LinearScan.apply(a, b, initial, lengths)  # type: ignore[no-untyped-call]
    return h


def linear_scan_reference(a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The same, step by step: the definition that `linear_scan` is held to."""
    _check(a, b, initial)
    a, b = zero_padding((a.expand_as(b), b), lengths)
    h, rows = initial, []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        h = a_t * h + b_t
        rows.append(h)
    return torch.stack(rows, dim=1) if rows else b


class _LinearScan(torch.autograd.Function):
    """Its gradient is a linear scan too, run backwards: only a and h need be kept."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
        native = _native_for(a, b, initial)
        h = _forward(native, a, b, initial, lengths) if native else _plain(a, b, initial, lengths)
        ctx.save_for_backward(a, initial, h, lengths)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, initial, h, lengths = ctx.saved_tensors
        native = None if torch.is_grad_enabled() else _native_for(a, h, grad)
        if native:
            return *_backward(native, a, initial, h, grad, lengths), None
        a, grad = zero_padding((a.expand_as(h), grad), lengths)
        # total_t = grad_t + a_{t+1} · total_{t+1}: from the last step to the first.
        total = _reverse(a[:, 1:].conj(), grad)
        before = torch.cat((initial.unsqueeze(1), h[:, :-1]), dim=1)
        steps = total * before.conj()
        return steps.sum_to_size(ctx.saved_tensors[0].shape), total, total[:, 0] * a[:, 0].conj(), None


def _reverse(decay: Tensor, grad: Tensor) -> Tensor:
    if torch.is_grad_enabled():  # a second derivative is wanted: through the function again
        start = torch.zeros_like(grad[:, 0])
        following = torch.cat((decay, torch.zeros_like(grad[:, :1])), dim=1)
        return linear_scan(following.flip(1), grad.flip(1), start).flip(1)
    total = torch.empty_like(grad)
    total[:, -1] = grad[:, -1]
    if grad.shape[1] > 1:
        _chunks(decay, grad[:, :-1], grad[:, -1], total[:, :-1], backwards=True)
    return total


def _plain(a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
    a, b = zero_padding((a.expand_as(b), b), lengths)
    h = torch.empty_like(b)
    _chunks(a, b, initial, h)
    return h


def _chunks(a: Tensor, b: Tensor, initial: Tensor, h: Tensor, backwards: bool = False) -> None:
    """Fills `h` with the scan of `a` and `b` from `initial`; `backwards` from the last step to the first."""
    time = b.shape[1]
    length = max(1, isqrt(time))
    count = time // length
    order = range(length - 1, -1, -1) if backwards else range(length)
    whole = slice(time - count * length, time) if backwards else slice(0, count * length)
    # Chunks [B, count, length, ...] are views: the whole is cut, never copied.
    cut_a, cut_b, cut_h = (part[:, whole].unflatten(1, (count, length)) for part in (a, b, h))  # type: ignore[no-untyped-call]
    starts = _starts(cut_a, cut_b, initial, order, backwards) if count > 1 else initial.unsqueeze(1)
    for t in order:
        starts = torch.addcmul(cut_b[:, :, t], cut_a[:, :, t], starts)
        cut_h[:, :, t] = starts
    rest = range(whole.start - 1, -1, -1) if backwards else range(whole.stop, time)
    last = starts[:, 0 if backwards else -1]
    for t in rest:
        last = torch.addcmul(b[:, t], a[:, t], last)
        h[:, t] = last


def _starts(a: Tensor, b: Tensor, initial: Tensor, order: range, backwards: bool) -> Tensor:
    """What every chunk [B, count, ...] starts from."""
    end, factor = b[:, :, order[0]].clone(), a[:, :, order[0]].clone()
    for t in order[1:]:
        end = torch.addcmul(b[:, :, t], a[:, :, t], end)
        factor *= a[:, :, t]
    state, starts = initial, [initial]
    chunks = range(b.shape[1] - 1, 0, -1) if backwards else range(b.shape[1] - 1)
    for chunk in chunks:
        state = torch.addcmul(end[:, chunk], factor[:, chunk], state)
        starts.append(state)
    return torch.stack(starts[::-1] if backwards else starts, dim=1)


def _native_for(*tensors: Tensor) -> ModuleType | None:
    if not tensors[0].is_complex():
        return native_for(*tensors)
    return native_for(*map(torch.view_as_real, tensors)) if all(t.is_complex() for t in tensors) else None


def _forward(native: ModuleType, a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
    a, b, initial, lengths = _dense(a, b, initial, lengths)
    h = torch.empty_like(b)
    pointers = map(pointer, (a, b, initial, lengths, h))
    _kernel(native, "forward", a)(*pointers, *_sizes(a, h), threads())
    return h


def _backward(
    native: ModuleType, a: Tensor, initial: Tensor, h: Tensor, grad: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    shape = a.shape
    a, initial, grad, lengths = _dense(a, initial, grad, lengths)
    grad_b, grad_initial = torch.empty_like(h), torch.empty_like(initial)
    grad_a = torch.empty_like(h if a.shape[1] > 1 or h.shape[1] == 1 else h[:, :1])
    pointers = map(pointer, (a, initial, h, grad, lengths, grad_a, grad_b, grad_initial))
    _kernel(native, "backward", a)(*pointers, *_sizes(a, h), threads())
    return grad_a.sum_to_size(shape), grad_b, grad_initial


def _dense(*tensors: Tensor | None) -> list[Any]:
    return [None if t is None else t.resolve_conj().resolve_neg().contiguous() for t in tensors]


def _kernel(native: ModuleType, name: str, like: Tensor) -> Any:
    if like.is_complex():
        return getattr(native, kernel_name(f"complex_scan_{name}", torch.view_as_real(like)))
    return getattr(native, kernel_name(f"linear_scan_{name}", like))


def _sizes(a: Tensor, h: Tensor) -> tuple[int, int, int, int, int]:
    """B, T, D, and how far apart the rows and the steps of `a` lie."""
    batch, time, width = h.shape[0], h.shape[1], h[0, 0].numel() if h.shape[0] else 0
    row = 0 if a.shape[0] == 1 else a.shape[1] * width
    return batch, time, width, row, 0 if a.shape[1] == 1 and time > 1 else width


def _check(a: Tensor, b: Tensor, initial: Tensor) -> None:
    fits = (
        a.dim() == b.dim() >= 2 and a.shape[2:] == b.shape[2:] and initial.shape == b.shape[:1] + b.shape[2:]
    )
    if not fits or any(a.shape[axis] not in (1, b.shape[axis]) for axis in (0, 1)):
        got = f"a {list(a.shape)}, b {list(b.shape)}, initial {list(initial.shape)}"
        raise ShapeError(f"linear_scan: got {got}, want a and b [B, T, ...] and initial [B, ...].")
