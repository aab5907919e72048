"""The selective scan on a GPU: spans of time side by side, the state of a block of channels in registers.

What comes into a span fades by exp(A ΣΔ) on its way through, so three passes do as for the linear scan:
where every span ends from zero, what comes into every span, and the outputs. Of the states [B, T, D, N] only
those between spans are stored, one of `SPAN`. On the way back the gradient of the states is cut in the same
way; then a program computes the states of its span again, into a workspace small enough to stay in the L2
cache, and goes back through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.ops.gpu import selective_scan_kernels as kernels
from statewise.ops.gpu.launch import contiguous, on_device_of

SPAN = 64  # steps per program
LANES = 256  # channels times states per program: two warps with four numbers per lane
WORKSPACE = 1 << 23  # numbers (32 MB in float32) for the states of the spans that are worked on at once


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
    span: int = SPAN,
) -> tuple[Tensor, Tensor]:
    """As `statewise.ops.selective_scan.selective_scan`, differentiable once."""
    if u.numel() == 0:
        return u, initial
    found: tuple[Tensor, Tensor] = _SelectiveScan.apply(  # type: ignore[no-untyped-call]
        u, delta, A, B, C, D, initial, gate, delta_bias, lengths, softplus, span
    )
    return found


class _Inputs(NamedTuple):
    """One call's tensors, contiguous."""

    u: Tensor  # [B, T, D]
    delta: Tensor  # [B, T, D]
    A: Tensor  # [D, N]
    B: Tensor  # [B, T, N]
    C: Tensor  # [B, T, N]
    D: Tensor  # [D]
    gate: Tensor | None  # [B, T, D]
    bias: Tensor | None  # [D]
    lengths: Tensor | None  # [B]


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        u, delta, A, B, C, D, initial, gate, bias, lengths, softplus, span = arguments
        inputs = _Inputs(*contiguous(u, delta, A, B, C, D, gate, bias, lengths))
        launches = _Launches(inputs, softplus, span)
        with on_device_of(u):
            starts, totals, final = launches.states(initial.contiguous())
            y = launches.outputs(starts)
        ctx.save_for_backward(*inputs, starts, totals)
        ctx.options = (softplus, span)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        *given, starts, totals = ctx.saved_tensors
        inputs = _Inputs(*given)
        launches = _Launches(inputs, *ctx.options)
        grad = grad.contiguous()
        with on_device_of(grad):
            backs, grad_initial = launches.states_back(totals, grad, grad_final.contiguous())
            found = launches.gradients(starts, backs, grad)
        grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_gate = found
        assert grad_delta is not None
        grad_bias = None if inputs.bias is None else grad_delta.sum(dim=(0, 1))
        of_inputs = (grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_initial, grad_gate, grad_bias)
        return *of_inputs, None, None, None


class _Launches:
    """The kernels for one shape, in the order in which they run."""

    def __init__(self, inputs: _Inputs, softplus: bool, span: int) -> None:
        self.inputs = inputs
        self.rows, self.time, self.channels = inputs.u.shape
        self.size, self.span = inputs.A.shape[1], span
        states = max(1, triton.next_power_of_2(self.size))
        block = min(max(1, LANES // states), triton.next_power_of_2(self.channels))
        self.count, self.blocks = triton.cdiv(self.time, span), triton.cdiv(self.channels, block)
        self.lanes = block * states
        self.sizes = (inputs.lengths, self.time, self.channels, self.size, span)
        self.shape = {"BLOCK": block, "STATES": states, "num_warps": 2}
        self.options = {"SOFTPLUS": softplus, **self.shape}

    def states(self, initial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What comes into every span [B, spans, D, N], every span's sum of Δ, and the last state."""
        u, delta, A, B, _, _, _, bias, _ = self.inputs
        ends, totals = self._between(self.size), self._between()
        kernels.spans[self._grid()](u, delta, A, B, bias, ends, totals, *self.sizes, **self.options)
        starts, final = self._carry(totals, ends, initial, reverse=False)
        return starts, totals, final

    def states_back(self, totals: Tensor, grad: Tensor, grad_final: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of the states that go out of every span, and that of the initial state."""
        _, delta, A, _, C, _, gate, bias, _ = self.inputs
        ends = self._between(self.size)
        given = (delta, A, C, gate, bias, grad, ends)
        kernels.spans_back[self._grid()](*given, *self.sizes, **self.options)
        return self._carry(totals, ends, grad_final, reverse=True)

    def outputs(self, starts: Tensor) -> Tensor:
        u, delta, A, B, C, D, gate, bias, _ = self.inputs
        y = self._filled(u.shape)
        kernels.outputs[self._grid()](
            u, delta, A, B, C, D, gate, bias, starts, y, *self.sizes, **self.options
        )
        return y

    def gradients(self, starts: Tensor, backs: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Of u, delta, A, B, C, D and gate."""
        u, delta, A, B, C, D, gate, bias, _ = self.inputs
        grad_u, grad_delta = self._filled(u.shape), self._filled(u.shape)
        grad_gate = None if gate is None else self._filled(u.shape)
        grad_A, grad_D = self._between(self.size), self._between()
        grad_B, grad_C = self._filled((self.blocks, *B.shape)), self._filled((self.blocks, *B.shape))
        per_span = self.rows * self.blocks * self.span * self.lanes
        wave = min(self.count, max(1, WORKSPACE // per_span))
        kept = u.new_empty(wave * per_span)
        given = (u, delta, A, B, C, D, gate, bias, starts, backs, grad, kept)
        made = (grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_gate)
        for first in range(0, self.count, wave):
            grid = self._grid(min(wave, self.count - first))
            kernels.gradients[grid](*given, *made, first, *self.sizes, **self.options)
        sums = (grad_A.sum(dim=(0, 1)), grad_B.sum(dim=0), grad_C.sum(dim=0), grad_D.sum(dim=(0, 1)))
        return grad_u, grad_delta, *sums, grad_gate

    def _carry(self, totals: Tensor, ends: Tensor, initial: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
        starts, final = torch.empty_like(ends), torch.empty_like(initial)
        kernels.carry[(self.rows, 1, self.blocks)](
            self.inputs.A, totals, ends, initial, starts, final, self.count, self.channels, self.size,
            REVERSE=reverse, **self.shape,
        )  # fmt: skip
        return starts, final

    def _grid(self, spans: int | None = None) -> tuple[int, int, int]:
        return self.rows, self.count if spans is None else spans, self.blocks

    def _between(self, *rest: int) -> Tensor:
        return self.inputs.u.new_empty(self.rows, self.count, self.channels, *rest)

    def _filled(self, shape: Sequence[int]) -> Tensor:
        """Zeros where the kernels leave out what comes after a row's length."""
        u = self.inputs.u
        return u.new_empty(shape) if self.inputs.lengths is None else u.new_zeros(shape)
