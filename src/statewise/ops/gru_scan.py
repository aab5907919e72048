"""The gated recurrent unit over whole sequences, with all that may act inside its loop.

With p_t the projected input, k the dropout mask, N_1 and N_2 layer norms (or nothing), s_t the zoneout:

    r, z = σ(p_rz + N_1(U_rz (k ⊙ h)) + d_rz)
    n = tanh(p_n + r ⊙ (N_2(U_n (k ⊙ h)) + d_n)),   or with the reset before the product
    n = tanh(p_n + N_2(U_n (r ⊙ k ⊙ h)) + d_n)
    h' = (1 - s) ⊙ ((1 - z) ⊙ n + z ⊙ h) + s ⊙ h

Cho et al. 2014; zoneout: Krueger et al. 2017. Rows lie one after another without padding (ops/ragged.py).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import layer_norm, linear

from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.ops.recurrent import contiguous, each_row, steps_per_row, weight_gradient

Given = tuple[Any, ...]  # projected, weight, bias, initial, gate_gain, candidate_gain


class GRULoop(NamedTuple):
    """What acts inside the loop: dropout, zoneout (a rate in evaluation), layer norm, order of the reset."""

    keep: Tensor | None = None  # [B, H], no gradient
    stay: Tensor | None = None  # [N, H], no gradient
    stay_rate: float = 0.0  # for all units where `stay` is None
    gate_gain: Tensor | None = None  # [2 H]
    candidate_gain: Tensor | None = None  # [H]
    reset_after: bool = True


def gru_update(
    projected: Tensor, h: Tensor, weight: Tensor, bias: Tensor, loop: GRULoop, stay: Tensor | float
) -> Tensor:
    """One step: p [B, 3 H] and h [B, H] to the next h; `stay` [B, H] or a rate."""
    size = h.shape[-1]
    seen = h if loop.keep is None else h * loop.keep
    gates = _normed(linear(seen, weight[: 2 * size]), loop.gate_gain)
    r, z = (projected[:, : 2 * size] + gates + bias[: 2 * size]).sigmoid().chunk(2, dim=-1)
    source = seen if loop.reset_after else r * seen
    candidate = _normed(linear(source, weight[2 * size :]), loop.candidate_gain) + bias[2 * size :]
    n = (projected[:, 2 * size :] + (r * candidate if loop.reset_after else candidate)).tanh()
    after = (1 - z) * n + z * h
    return after if isinstance(stay, float) and stay == 0.0 else stay * h + (1 - stay) * after


def gru_scan(
    projected: Tensor,
    weight: Tensor,
    bias: Tensor,
    initial: Tensor,
    loop: GRULoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Hidden states [N, H] and the last one of each row [B, H].

    `projected` is p [N, 3 H] for the real steps of row 0, then of row 1, …; `weight` U [3 H, H], `bias` d
    [3 H], `initial` h_0 [B, H]; `lengths` [B], or None when all rows have N / B steps. With `reverse` every
    row runs from its last step to its first. Differentiable once.
    """
    given = (projected, weight, bias, initial, loop.gate_gain, loop.candidate_gain)
    module = native_for(*given, loop.keep, loop.stay)
    if module is None:
        return gru_scan_reference(projected, weight, bias, initial, loop, lengths, reverse)
    time, lengths = steps_per_row(len(projected), len(initial), lengths)
    call = _Call(module, loop, lengths, time, reverse)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given):
        outputs: tuple[Tensor, Tensor] = _GRUScan.apply(call, *given)  # type: ignore[no-untyped-call]
        return outputs
    hidden, final, *_ = call.forward(given, keep=False)
    return hidden, final


def gru_scan_reference(
    projected: Tensor,
    weight: Tensor,
    bias: Tensor,
    initial: Tensor,
    loop: GRULoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The same as the equations stand: what `gru_scan` is held to."""
    keep = torch.ones_like(initial) if loop.keep is None else loop.keep
    along = () if loop.stay is None else (loop.stay,)

    def run(parts: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h, mask), stay = state, parts[1] if len(parts) > 1 else loop.stay_rate
        return gru_update(parts[0], h, weight, bias, loop._replace(keep=mask), stay), mask

    hidden, last = each_row(run, projected, (initial, keep), lengths, reverse, along)
    return hidden, last[0]


def _normed(x: Tensor, gain: Tensor | None) -> Tensor:
    return x if gain is None else layer_norm(x, x.shape[-1:], gain)


class _Call(NamedTuple):
    """One call of the kernels: what is not differentiated."""

    module: ModuleType
    loop: GRULoop
    lengths: Tensor | None
    time: int
    reverse: bool

    def forward(self, given: Given, keep: bool) -> tuple[Any, ...]:
        """Hidden states, the last ones, and (kept for the way back) gates, normalised products, scales."""
        projected, weight, bias, initial, gate_gain, candidate_gain = given
        batch, size = initial.shape
        steps, none = len(projected), projected.new_empty(0)
        hidden, final = projected.new_empty(steps, size), torch.empty_like(initial)
        gates = projected.new_empty(steps, 4 * size) if keep else none
        normal = keep and gate_gain is not None
        normed, scales = (projected.new_empty(steps, n) if normal else none for n in (3 * size, 2))
        parts = contiguous(projected, weight, bias, initial, self.loop.keep, self.loop.stay)
        gains = contiguous(gate_gain, candidate_gain)
        getattr(self.module, kernel_name("gru_forward", initial))(
            *map(pointer, parts), self.loop.stay_rate, *map(pointer, (*gains, self.lengths, hidden, final)),
            *(pointer(part) if len(part) else 0 for part in (gates, normed, scales)),
            batch, self.time, size, int(self.loop.reset_after), int(self.reverse), threads(),
        )  # fmt: skip
        return hidden, final, gates, normed, scales


class _GRUScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *given: Any) -> tuple[Tensor, ...]:
        hidden, final, *kept = call.forward(given, keep=True)
        ctx.call = call
        ctx.save_for_backward(*given[1:], hidden, *kept)
        ctx.set_materialize_grads(False)
        return hidden, final

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_hidden: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        weight, _, initial, gate_gain, candidate_gain, hidden, *kept = ctx.saved_tensors
        call: _Call = ctx.call
        loop, (batch, size) = call.loop, initial.shape
        steps, none = len(hidden), hidden.new_empty(0)
        grad_hidden = torch.zeros_like(hidden) if grad_hidden is None else grad_hidden
        grad_projected, grad_initial = hidden.new_empty(steps, 3 * size), torch.empty_like(initial)
        grad_gates = none if gate_gain is None else hidden.new_empty(steps, 2 * size)
        grad_candidate, before = torch.empty_like(hidden), torch.empty_like(hidden)
        source = none if loop.reset_after else torch.empty_like(hidden)
        sums = hidden.new_zeros(2, threads(), 3 * size)
        given = contiguous(grad_hidden, grad_final, weight, initial, loop.keep, loop.stay)
        gains = contiguous(gate_gain, candidate_gain)
        results = (grad_projected, grad_gates, grad_candidate, before, source, grad_initial, sums[0], sums[1])
        getattr(call.module, kernel_name("gru_backward", hidden))(
            *map(pointer, given), loop.stay_rate,
            *map(pointer, (*gains, call.lengths, hidden, *kept, *results)),
            batch, call.time, size, int(loop.reset_after), int(call.reverse), threads(),
        )  # fmt: skip
        grad_weight = torch.empty_like(weight)
        through = grad_projected[:, : 2 * size] if gate_gain is None else grad_gates
        weight_gradient(through, before, grad_weight[: 2 * size])
        weight_gradient(grad_candidate, before if loop.reset_after else source, grad_weight[2 * size :])
        grad_bias, grad_gain = sums.sum(dim=1)
        gain_gradients = (None, None) if gate_gain is None else (grad_gain[: 2 * size], grad_gain[2 * size :])
        return None, grad_projected, grad_weight, grad_bias, grad_initial, *gain_gradients
