"""The simple recurrent network over whole sequences, with all that may act inside its loop.

With p_t the projected input, k the dropout mask, s_t the zoneout, N a layer norm with its bias (or nothing):

    h' = (1 - s) ⊙ φ(N(p_t + U (k ⊙ h))) + s ⊙ h,   φ = tanh or ReLU

Elman 1990; zoneout: Krueger et al. 2017. Rows lie one after another without padding (ops/ragged.py).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import layer_norm

from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.ops.recurrent import contiguous, each_row, steps_per_row, weight_gradient


class RNNLoop(NamedTuple):
    """What acts inside the loop: dropout, zoneout (a rate in evaluation), layer norm, the nonlinearity."""

    keep: Tensor | None = None  # [B, H], no gradient
    stay: Tensor | None = None  # [N, H], no gradient
    stay_rate: float = 0.0  # for all units where `stay` is None
    gain: Tensor | None = None  # [H]
    bias: Tensor | None = None  # [H], with `gain` only
    relu: bool = False


def rnn_update(projected: Tensor, h: Tensor, weight: Tensor, loop: RNNLoop, stay: Tensor | float) -> Tensor:
    """One step: p [B, H] and h [B, H] to the next h; `stay` [B, H] or a rate."""
    seen = h if loop.keep is None else h * loop.keep
    total = torch.addmm(projected, seen, weight.t())
    if loop.gain is not None:
        total = layer_norm(total, total.shape[-1:], loop.gain, loop.bias)
    after = (total.relu() if loop.relu else total.tanh()).to(h.dtype)  # memory in full precision (autocast)
    return after if isinstance(stay, float) and stay == 0.0 else stay * h + (1 - stay) * after


def rnn_scan(
    projected: Tensor,
    weight: Tensor,
    initial: Tensor,
    loop: RNNLoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Hidden states [N, H] and the last one of each row [B, H].

    `projected` is p [N, H] for the real steps of row 0, then of row 1, …; `weight` U [H, H], `initial` h_0
    [B, H]; `lengths` [B], or None when all rows have N / B steps. With `reverse` every row runs from its last
    step to its first. Differentiable once.
    """
    given = (projected, weight, initial, loop.gain, loop.bias)
    module = native_for(*given, loop.keep, loop.stay)
    if module is None:
        return rnn_scan_reference(projected, weight, initial, loop, lengths, reverse)
    time, lengths = steps_per_row(len(projected), len(initial), lengths)
    call = _Call(module, loop, lengths, time, reverse)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given):
        outputs: tuple[Tensor, Tensor] = _RNNScan.apply(call, *given)  # type: ignore[no-untyped-call]
        return outputs
    hidden, final, *_ = call.forward(*given, keep=False)
    return hidden, final


def rnn_scan_reference(
    projected: Tensor,
    weight: Tensor,
    initial: Tensor,
    loop: RNNLoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The same as the equations stand: what `rnn_scan` is held to."""
    keep = torch.ones_like(initial) if loop.keep is None else loop.keep
    along = () if loop.stay is None else (loop.stay,)

    def run(parts: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h, mask), stay = state, parts[1] if len(parts) > 1 else loop.stay_rate
        return rnn_update(parts[0], h, weight, loop._replace(keep=mask), stay), mask

    hidden, last = each_row(run, projected, (initial, keep), lengths, reverse, along)
    return hidden, last[0]


class _Call(NamedTuple):
    """One call of the kernels: what is not differentiated."""

    module: ModuleType
    loop: RNNLoop
    lengths: Tensor | None
    time: int
    reverse: bool

    def forward(
        self,
        projected: Tensor,
        weight: Tensor,
        initial: Tensor,
        gain: Tensor | None,
        bias: Tensor | None,
        *,
        keep: bool,
    ) -> tuple[Any, ...]:
        """Hidden states and the last ones; for the way back φ's values, normalised sums and their scales."""
        loop, (batch, size), steps = self.loop, initial.shape, len(projected)
        hidden, final = projected.new_empty(steps, size), torch.empty_like(initial)
        zoned, normal = loop.stay is not None or loop.stay_rate > 0.0, gain is not None
        bent = torch.empty_like(hidden) if keep and zoned else None
        normed = torch.empty_like(hidden) if keep and normal else None
        scales = projected.new_empty(steps) if keep and normal else None
        given = contiguous(projected, weight, initial, loop.keep, loop.stay)
        norm = contiguous(gain, bias)
        results = (hidden, final, bent, normed, scales)
        getattr(self.module, kernel_name("rnn_forward", initial))(
            *map(pointer, given), loop.stay_rate, *map(pointer, (*norm, self.lengths, *results)),
            batch, self.time, size, int(loop.relu), int(self.reverse), threads(),
        )  # fmt: skip
        return results


class _RNNScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *given: Any) -> tuple[Any, ...]:
        hidden, final, *kept = call.forward(*given, keep=True)
        ctx.call = call
        ctx.save_for_backward(*given[1:4], hidden, *kept)
        ctx.set_materialize_grads(False)
        return hidden, final

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_hidden: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        weight, initial, gain, hidden, *kept = ctx.saved_tensors
        call: _Call = ctx.call
        loop, (batch, size) = call.loop, initial.shape
        grad_hidden = torch.zeros_like(hidden) if grad_hidden is None else grad_hidden
        grad_projected, before = torch.empty_like(hidden), torch.empty_like(hidden)
        grad_initial, sums = torch.empty_like(initial), hidden.new_zeros(2, threads(), size)
        given = contiguous(grad_hidden, grad_final, weight, initial, loop.keep, loop.stay)
        norm = contiguous(gain)
        results = (grad_projected, before, grad_initial, sums[0], sums[1])
        getattr(call.module, kernel_name("rnn_backward", hidden))(
            *map(pointer, given), loop.stay_rate,
            *map(pointer, (*norm, call.lengths, hidden, *kept, *results)),
            batch, call.time, size, int(loop.relu), int(call.reverse), threads(),
        )  # fmt: skip
        grad_weight = weight_gradient(grad_projected, before, torch.empty_like(weight))
        grad_bias, grad_gain = sums.sum(dim=1) if gain is not None else (None, None)
        return None, grad_projected, grad_weight, grad_initial, grad_gain, grad_bias
