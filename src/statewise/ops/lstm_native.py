"""The compiled form of `lstm_scan` and its gradient."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise.ops.native import kernel_name, pointer, threads
from statewise.ops.recurrent import contiguous, weight_gradient

Given = tuple[Any, ...]  # projected, weight, hidden, cell, projection, peephole, gain, cell_gain, cell_bias


class LSTMCall(NamedTuple):
    """One call of the kernels: what is not differentiated."""

    module: ModuleType
    masks: tuple[Tensor | None, ...]  # dropout [B, P], zoneout of h [N, P] and of c [N, H]
    rates: tuple[float, float]
    coupled: bool
    lengths: Tensor | None
    time: int
    reverse: bool

    def forward(self, given: Given, keep: bool) -> tuple[Any, ...]:
        """Hidden states, last h and c; kept for the way back: cells, gates, normalised products, scales."""
        projected, weight, hidden, cell, projection, peephole, gain, cell_gain, cell_bias = given
        steps, outputs = len(projected), projected.new_empty(len(projected), hidden.shape[1])
        finals = torch.empty_like(hidden), torch.empty_like(cell)
        cells = projected.new_empty(steps, cell.shape[1]) if keep else None
        gates = projected.new_empty(projected.shape) if keep else None
        normal = keep and gain is not None
        normed = projected.new_empty(projected.shape) if normal else None
        scales = projected.new_empty(steps) if normal else None
        parts = contiguous(projected, weight, projection, peephole, hidden, cell, *self.masks)
        norms = contiguous(gain, cell_gain, cell_bias)
        results = (outputs, *finals, cells, gates, normed, scales)
        getattr(self.module, kernel_name("lstm_forward", cell))(
            *map(pointer, parts),
            *self.rates,
            *map(pointer, (*norms, self.lengths, *results)),
            *self.sizes(hidden, cell),
        )
        return results

    def sizes(self, hidden: Tensor, cell: Tensor) -> tuple[int, ...]:
        """The whole numbers that end the arguments of both kernels."""
        shape = (len(cell), self.time, cell.shape[1], hidden.shape[1])
        return *shape, int(self.coupled), int(self.reverse), threads()


class LSTMScan(torch.autograd.Function):
    """Hidden states, last h, last c."""

    @staticmethod
    def forward(ctx: Any, call: LSTMCall, *given: Any) -> tuple[Tensor, ...]:
        """The kernel, its gates kept."""
        *outputs, cells, gates, normed, scales = call.forward(given, keep=True)
        ctx.call = call
        ctx.save_for_backward(*given[1:], outputs[0], cells, gates, normed, scales)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of everything given."""
        weight, hidden, cell, projection, peephole, gain, cell_gain, cell_bias, *kept = ctx.saved_tensors
        call: LSTMCall = ctx.call
        outputs, gates, size = kept[0], kept[2], cell.shape[1]
        grad_outputs = torch.zeros_like(outputs) if grads[0] is None else grads[0]
        grad_projected, before = torch.empty_like(gates), torch.empty_like(outputs)
        grad_product = None if gain is None else torch.empty_like(gates)
        none = outputs.new_empty(0)
        through = none, none
        if projection is not None:
            through = torch.empty_like(outputs), torch.empty_like(kept[1])
        starts = torch.empty_like(hidden), torch.empty_like(cell)
        grad_gain = outputs.new_zeros(threads(), gates.shape[1])
        small = outputs.new_zeros(threads(), 5, size)
        parts = contiguous(grad_outputs, *grads[1:], weight, projection, peephole, hidden, cell, *call.masks)
        norms = contiguous(gain, cell_gain, cell_bias)
        results = (grad_projected, grad_product, before, *through, *starts, grad_gain, small)
        getattr(call.module, kernel_name("lstm_backward", cell))(
            *map(pointer, parts), *call.rates, *map(pointer, (*norms, call.lengths, *kept, *results)),
            *call.sizes(hidden, cell),
        )  # fmt: skip
        product = grad_projected if grad_product is None else grad_product
        grad_weight = weight_gradient(product, before, torch.empty_like(weight))
        grad_projection = None
        if projection is not None:
            grad_projection = weight_gradient(through[0], through[1], torch.empty_like(projection))
        small = small.sum(dim=0)
        return (
            None, grad_projected, grad_weight, *starts, grad_projection,
            None if peephole is None else small[:3], None if gain is None else grad_gain.sum(dim=0),
            *((None, None) if cell_gain is None else small[3:]),
        )  # fmt: skip
