"""The long short-term memory over a whole sequence, with its gradient written out.

For a dropout mask inside the loop, which torch's fused kernel does not take, where there are no compiled
kernels. As in `gru_by_hand` the step's derivatives are computed for all steps at once; the way back is a few
small operations per step.

With p_t the projected input (bias included) and k the dropout mask:

    i, f, g, o = split(p_t + U (k ⊙ h_{t-1})),  c_t = σ(f) ⊙ c_{t-1} + σ(i) ⊙ tanh(g),  h_t = σ(o) ⊙ tanh(c_t)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def lstm_by_hand(
    projected: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """All h and c [T, B, H] for p `projected` [T, B, 4 H], U `weight` [4 H, H], T ≥ 1.

    `hidden` and `cell` are h_0 and c_0 [B, H]; `keep` is the mask k [B, H], or [B, 0] for none (it gets no
    gradient). Time comes first here, so that every step is one block of memory. Differentiable once.
    """
    with torch.autocast(weight.device.type, enabled=False):
        parts = (part.to(weight.dtype) for part in (projected, weight, hidden, cell, keep))
        outputs: tuple[Tensor, Tensor] = _LSTMByHand.apply(*parts)  # type: ignore[no-untyped-call]
    return outputs


class _LSTMByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        time, size = projected.shape[0], hidden.shape[1]
        gates = torch.empty_like(projected)
        hiddens, cells, bent = (hidden.new_empty(time, *hidden.shape) for _ in range(3))
        # One view per step, all made at once: slicing inside the loop would cost as much as the arithmetic.
        views = (projected, gates, *gates.chunk(4, dim=-1), cells, bent, hiddens)
        steps = [view.unbind(0) for view in views]
        h, c, across = hidden, cell, weight.t()
        for p_t, gates_t, i, f, g, o, c_t, bent_t, h_t in zip(*steps, strict=True):
            total = torch.addmm(p_t, _dropped(h, keep), across)
            torch.sigmoid(total, out=gates_t)
            torch.tanh(total[:, 2 * size : 3 * size], out=g)
            c = torch.mul(f, c, out=c_t).addcmul_(i, g)
            h = torch.mul(o, torch.tanh(c, out=bent_t), out=h_t)
        ctx.save_for_backward(weight, hidden, cell, keep, gates, hiddens, cells, bent)
        return hiddens, cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        weight, hidden, cell, keep, gates, hiddens, cells, bent = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=-1)
        before = torch.cat((cell.unsqueeze(0), cells[:-1]))
        of_cell = torch.stack((g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)), dim=2)
        of_hidden, bend = bent * o * (1 - o), o * (1 - bent * bent)
        grad_gates = torch.empty_like(gates)
        parts = (grad_hidden, grad_cell, of_cell, of_hidden, bend, f, grad_gates)
        h, c = torch.zeros_like(hidden), torch.zeros_like(cell)
        for gh_t, gc_t, cell_t, hidden_t, bend_t, f_t, out in zip(
            *(reversed(part.unbind(0)) for part in parts), strict=True
        ):
            h = h + gh_t
            c = torch.addcmul(c + gc_t, h, bend_t)
            torch.cat(((cell_t * c.unsqueeze(1)).flatten(1), hidden_t * h), dim=1, out=out)
            h, c = _dropped(out @ weight, keep), c * f_t
        earlier = _dropped(torch.cat((hidden.unsqueeze(0), hiddens[:-1])), keep)
        grad_weight = grad_gates.flatten(0, 1).t() @ earlier.flatten(0, 1)
        return grad_gates, grad_weight, h, c, None


def _dropped(hidden: Tensor, keep: Tensor) -> Tensor:
    return hidden * keep if keep.shape[-1] else hidden
