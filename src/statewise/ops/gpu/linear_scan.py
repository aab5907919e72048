"""The linear recurrence on a GPU: time is cut into spans, and a span is one map h -> product · h + end.

Three passes: the map of every span, what comes into every span, and the outputs. A program goes through its
span step by step with a block of channels side by side, so that every access is one run of memory. The
first pass reads a and b once more than a single pass would: 5 numbers per element instead of 3 (7 instead
of 5 on the way back). A single pass has only batch x channels lines to work on, too few to keep the memory
busy unless the batch is large; where it is, there is one span and the first two passes are left out. (A
tree over time, as in `tl.associative_scan`, does log2(span) times the arithmetic for the same traffic.)
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from statewise.ops.gpu import linear_scan_kernels as kernels
from statewise.ops.gpu.launch import on_device_of, span_of
from statewise.recurrence import zero_padding

BLOCK = 128  # channels per program: one warp with 16 bytes per lane
SHORTEST = 32  # steps per span


def linear_scan(
    a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None = None, span: int | None = None
) -> Tensor:
    """As `statewise.ops.linear_scan.linear_scan`, real numbers only; `span` sets the steps per program."""
    if b.numel() == 0:
        return b
    h: Tensor = _LinearScan.apply(a.expand_as(b), b, initial, lengths, span)  # type: ignore[no-untyped-call]
    return h


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, initial: Tensor, lengths: Tensor | None, span: int | None
    ) -> Tensor:
        h = _Spans(a, initial, lengths, span).outputs(a.contiguous(), b.contiguous(), initial.contiguous())
        ctx.save_for_backward(a, initial, h, lengths)
        ctx.span = span
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, initial, h, lengths = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            return *_composed(a, initial, h, grad, lengths), None, None
        spans = _Spans(a, initial, lengths, ctx.span)
        return *spans.gradients(a.contiguous(), initial.contiguous(), h, grad.contiguous()), None, None


def _composed(
    a: Tensor, initial: Tensor, h: Tensor, grad: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in operations that have gradients themselves: a linear scan from the last step."""
    a, grad = zero_padding((a, grad), lengths)
    following = torch.cat((a[:, 1:], torch.zeros_like(a[:, :1])), dim=1)
    total = linear_scan(following.flip(1), grad.flip(1), torch.zeros_like(initial)).flip(1)
    before = torch.cat((initial.unsqueeze(1), h[:, :-1]), dim=1)
    # total is nothing after a row's length, and so is the product.
    return total * before, total, total[:, 0] * a[:, 0]


class _Spans:
    """The launches for one shape: a [B, T, ...] in spans of `span` steps."""

    def __init__(self, a: Tensor, initial: Tensor, lengths: Tensor | None, span: int | None) -> None:
        self.rows, self.time = a.shape[:2]
        self.channels = initial[0].numel()
        self.block = min(BLOCK, triton.next_power_of_2(self.channels))
        self.blocks = triton.cdiv(self.channels, self.block)
        self.span = span or span_of(self.time, self.rows * self.blocks, SHORTEST, a)
        self.count = triton.cdiv(self.time, self.span)
        self.lengths = None if lengths is None else lengths.contiguous()

    def outputs(self, a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        h = torch.empty_like(b) if self.lengths is None else torch.zeros_like(b)
        with on_device_of(a):
            starts = self._starts(a, b, initial, reverse=False)
            self._launch(kernels.apply, a, b, starts, h)
        return h

    def gradients(self, a: Tensor, initial: Tensor, h: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        make = torch.empty_like if self.lengths is None else torch.zeros_like
        grad_a, grad_b, grad_initial = make(a), make(a), torch.empty_like(initial)
        with on_device_of(a):
            starts = self._starts(a, grad, torch.zeros_like(initial), reverse=True)
            self._launch(kernels.apply_back, a, grad, h, initial, starts, grad_a, grad_b, grad_initial)
        return grad_a, grad_b, grad_initial

    def _starts(self, a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        """What comes into every span [B, spans, channels]."""
        if self.count == 1:
            return initial
        products, ends, starts = (a.new_empty(self.rows, self.count, self.channels) for _ in range(3))
        self._launch(kernels.ends, a, b, products, ends, REVERSE=reverse)
        grid = (self.rows, self.blocks)
        sizes = (self.count, self.channels)
        kernels.carry[grid](
            products, ends, initial, starts, *sizes, REVERSE=reverse, BLOCK=self.block, num_warps=1
        )
        return starts

    def _launch(self, kernel: Any, *tensors: Tensor, **options: bool) -> None:
        grid = (self.rows, self.count, self.blocks)
        sizes = (self.time, self.channels, self.span)
        kernel[grid](*tensors, self.lengths, *sizes, **options, BLOCK=self.block, num_warps=1)
