"""State space duality on a GPU: chunks of time side by side, every chunk a few matrix products on chip.

Three passes as for the scans: where every chunk ends from zero, what comes into every chunk, and the outputs.
The [L, L] matrices of scores and decays live in registers only; stored are the states between chunks, P · N
numbers per head and chunk of L steps. The way back is cut in the same way and computes the scores again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.ops.gpu import ssd_kernels as kernels
from statewise.ops.gpu.launch import contiguous, on_device_of

STEPS = 64  # of a chunk
BLOCK = 32  # values or states worked on at once
LINE = 256  # numbers of a state per program that hands states on


class _Inputs(NamedTuple):
    """One call's tensors, contiguous."""

    x: Tensor  # [B, T, H, P]
    decay: Tensor  # [B, T, H]
    B: Tensor  # [B, T, G, N]
    C: Tensor  # [B, T, G, N]
    lengths: Tensor | None  # [B]


def ssd(
    x: Tensor, decay: Tensor, B: Tensor, C: Tensor, initial: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """As `statewise.ops.ssd.ssd`, differentiable once; the chunks have `STEPS` steps."""
    if x.numel() == 0:
        return x, initial
    found: tuple[Tensor, Tensor] = _SSD.apply(x, decay, B, C, initial, lengths)  # type: ignore[no-untyped-call]
    return found


class _SSD(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        x, decay, B, C, initial, lengths = arguments
        inputs = _Inputs(*contiguous(x, decay, B, C, lengths))
        launches = _Launches(inputs)
        with on_device_of(x):
            starts, final = launches.states(inputs.x, inputs.B, initial.contiguous(), reverse=False)
            y = launches.outputs(starts)
        ctx.save_for_backward(*inputs, starts)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        *given, starts = ctx.saved_tensors
        inputs, grad = _Inputs(*given), grad.contiguous()
        launches = _Launches(inputs)
        with on_device_of(grad):
            backs, of_initial = launches.states(grad, inputs.C, grad_final.contiguous(), reverse=True)
            of_inputs = launches.gradients(starts, backs, grad)
        return *of_inputs, of_initial, None


class _Launches:
    """The kernels for one shape, in the order in which they run."""

    def __init__(self, inputs: _Inputs) -> None:
        self.inputs = inputs
        self.rows, self.time, self.heads, self.values = inputs.x.shape
        self.groups, self.states_ = inputs.B.shape[2:]
        self.count = triton.cdiv(self.time, STEPS)
        self.sizes = (inputs.lengths, self.time, self.heads, self.groups)
        self.options = {"PRECISION": _precision(inputs.x), "L": STEPS, "K": BLOCK, "num_warps": 8}

    def states(self, x: Tensor, keys: Tensor, initial: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
        """What comes into every chunk [B, chunks, H, P, N], and what goes out of the last [B, H, P, N]."""
        ends = x.new_empty(self.rows, self.count, *initial.shape[1:])
        fades = x.new_empty(self.rows, self.count, self.heads)
        starts, final, size = torch.empty_like(ends), torch.empty_like(initial), self.values * self.states_
        given = (x, keys, self.inputs.decay, ends, fades, *self.sizes, self.values, self.states_)
        blocks = triton.cdiv(self.values, BLOCK) * triton.cdiv(self.states_, BLOCK)
        kernels.ends[self._grid(blocks)](*given, REVERSE=reverse, **self.options)
        line = min(LINE, triton.next_power_of_2(size))
        kernels.carry[(self.rows, self.heads, triton.cdiv(size, line))](
            fades, ends, initial, starts, final, self.count, self.heads, size,
            REVERSE=reverse, BLOCK=line, num_warps=2,
        )  # fmt: skip
        return starts, final

    def outputs(self, starts: Tensor) -> Tensor:
        x, _, B, C, _ = self.inputs
        return self._reads(C, B, x, starts)

    def gradients(self, starts: Tensor, backs: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        """Of x, decay, B and C."""
        x, decay, B, C, _ = self.inputs
        of_x = self._reads(B, C, grad, backs, reverse=True)
        of_B = self._reads(x, grad, C, backs, turned=True, reverse=True)
        of_C = self._reads(grad, x, B, starts, turned=True)
        of_decay = self._filled(decay.shape)
        kernels.decays[self._grid(1)](
            x, decay, B, C, starts, backs, grad, of_decay, *self.sizes, self.values, self.states_,
            **self.options,
        )  # fmt: skip
        grouped = (self.rows, self.time, self.groups, self.heads // self.groups, self.states_)
        return of_x, of_decay, of_B.view(grouped).sum(3), of_C.view(grouped).sum(3)

    def _reads(
        self, q: Tensor, k: Tensor, v: Tensor, states: Tensor, *, turned: bool = False, reverse: bool = False
    ) -> Tensor:
        """[B, T, H, numbers of v]: see the kernel."""
        inner, outer = q.shape[-1], v.shape[-1]
        strides = (self.states_, 1) if turned else (1, self.states_)
        out = self._filled((self.rows, self.time, self.heads, outer))
        given = (q, k, v, self.inputs.decay, states, out, *self.sizes, inner, outer, *strides)
        grid = self._grid(triton.cdiv(outer, BLOCK))
        kernels.reads[grid](*given, TURNED=turned, REVERSE=reverse, **self.options)
        return out

    def _grid(self, blocks: int) -> tuple[int, int, int]:
        return self.rows, self.count, self.heads * blocks

    def _filled(self, shape: Sequence[int]) -> Tensor:
        """Zeros where the kernels leave out what comes after a row's length."""
        x = self.inputs.x
        return x.new_empty(shape) if self.inputs.lengths is None else x.new_zeros(shape)


def _precision(x: Tensor) -> str:
    """Full float32 products (three on the tensor cores), or what torch was told will do for its own."""
    if x.dtype != torch.float32:
        return "ieee"
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
