"""The linear recurrence h_t = a_t · h_{t-1} + b_t over a whole sequence, in about log2(T) passes.

Source: Hillis and Steele 1986, "Data parallel algorithms", applied to the pairs (a, b), whose composition
(a₂, b₂) ∘ (a₁, b₁) = (a₂ a₁, a₂ b₁ + b₂) is associative (Blelloch 1990, section 1.4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from statewise.core.errors import ShapeError


def linear_scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """All h [B, T, ...] of h_t = a_t · h_{t-1} + b_t, elementwise, from h = `initial` [B, ...].

    `a` and `b` have one shape [B, T, ...]; T may be 0. Differentiable, twice too.
    Raises ShapeError when the shapes do not fit.
    """
    _check(a, b, initial)
    if a.shape[1] == 0:
        return b
    scanned: Tensor = _LinearScan.apply(a, b, initial)  # type: ignore[no-untyped-call]
    return scanned


def linear_scan_reference(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """The same, step by step: the definition that `linear_scan` is held to."""
    _check(a, b, initial)
    h, rows = initial, []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        h = a_t * h + b_t
        rows.append(h)
    return torch.stack(rows, dim=1) if rows else b


class _LinearScan(torch.autograd.Function):
    """Its gradient is a linear scan too, run backwards: so the doubling passes need not be kept."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        h = _doubling(a, b, initial)
        ctx.save_for_backward(a, initial, h)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, initial, h = ctx.saved_tensors
        # total_t = grad_t + a_{t+1} · total_{t+1}: from the last step to the first.
        following = torch.cat((a[:, 1:], torch.zeros_like(a[:, :1])), dim=1)
        total = linear_scan(following.flip(1), grad.flip(1), torch.zeros_like(initial)).flip(1)
        before = torch.cat((initial.unsqueeze(1), h[:, :-1]), dim=1)
        return total * before, total, total[:, 0] * a[:, 0]


def _doubling(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    h = b.clone()
    h[:, 0].addcmul_(a[:, 0], initial)
    factor, shift, time = a, 1, a.shape[1]
    while shift < time:
        # h_t now sums the last `shift` steps; one more pass doubles that.
        h = torch.cat((h[:, :shift], torch.addcmul(h[:, shift:], factor[:, shift:], h[:, :-shift])), dim=1)
        factor = torch.cat((factor[:, :shift], factor[:, shift:] * factor[:, :-shift]), dim=1)
        shift *= 2
    return h


def _check(a: Tensor, b: Tensor, initial: Tensor) -> None:
    if a.shape != b.shape or a.dim() < 2 or initial.shape != a.shape[:1] + a.shape[2:]:
        got = f"a {list(a.shape)}, b {list(b.shape)}, initial {list(initial.shape)}"
        raise ShapeError(f"linear_scan: got {got}, want a and b [B, T, ...] and initial [B, ...].")
