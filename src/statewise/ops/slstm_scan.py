"""The sLSTM over whole sequences (Beck et al. 2024, "xLSTM", equations 8 to 18).

With p_t the projected input, U one block per head, log f = log σ(f), or f itself with an exponential gate:

    i, f, z, o = p_t + U h
    m' = max(log f + m, i)                          log f + m is -∞ where n = 0: nothing is remembered yet
    f = exp(log f + m - m'),   i = exp(i - m')
    c' = f ⊙ c + i ⊙ tanh(z),   n' = f ⊙ n + i,   h' = σ(o) ⊙ c' / n'

Rows lie one after another without padding (ops/ragged.py).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from statewise.ops.native import kernel_name, native_for, pointer, threads
from statewise.ops.recurrent import each_row, steps_per_row, weight_gradient

_NOTHING = -1e30  # a logarithm of 0 that can be subtracted


def slstm_update(
    projected: Tensor, state: tuple[Tensor, ...], weight: Tensor, exponential: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step: p [B, 4 H] and the state (h, c, n, m), each [B, H], to the next state."""
    h, c, n, m = state
    i, f, z, o = (projected + _recurrent(h, weight)).chunk(4, dim=-1)
    kept = m + (f if exponential else functional.logsigmoid(f))
    kept = kept.masked_fill(n == 0, _NOTHING)
    largest = torch.maximum(kept, i)
    f, i = (kept - largest).exp(), (i - largest).exp()
    cell, normaliser = f * c + i * z.tanh(), f * n + i
    return o.sigmoid() * cell / normaliser, cell, normaliser, largest


def slstm_scan(
    projected: Tensor,
    weight: Tensor,
    state: tuple[Tensor, ...],
    exponential: bool = False,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Hidden states [N, H], and the state (h, c, n, m), each [B, H], after each row's last step.

    `projected` is p [N, 4 H] for the real steps of row 0, then of row 1, …; `weight` U [heads, 4 H / heads,
    H / heads]; `lengths` [B], or None when all rows have N / B steps. With `reverse` every row runs from its
    last step to its first. Differentiable once.
    """
    module = native_for(projected, weight, *state)
    if module is None:
        return slstm_scan_reference(projected, weight, state, exponential, lengths, reverse)
    time, lengths = steps_per_row(len(projected), len(state[0]), lengths)
    call, given = _Call(module, exponential, lengths, time, reverse), (projected, weight, torch.stack(state))
    if torch.is_grad_enabled() and any(part.requires_grad for part in given):
        hidden, final = _SLSTMScan.apply(call, *given)  # type: ignore[no-untyped-call]
    else:
        hidden, final, *_ = call.forward(*given, keep=False)
    return hidden, final.unbind()


def slstm_scan_reference(
    projected: Tensor,
    weight: Tensor,
    state: tuple[Tensor, ...],
    exponential: bool = False,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same as the equations stand: what `slstm_scan` is held to."""

    def run(parts: tuple[Tensor, ...], now: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return slstm_update(parts[0], now, weight, exponential)

    return each_row(run, projected, tuple(state), lengths, reverse)


def _recurrent(hidden: Tensor, weight: Tensor) -> Tensor:
    """U h [B, 4 H], gate by gate, every head by itself."""
    if len(weight) == 1:
        return functional.linear(hidden, weight[0]).to(hidden.dtype)
    heads = torch.unflatten(hidden, -1, (len(weight), -1)).transpose(0, 1)
    across = torch.bmm(heads, weight.transpose(1, 2)).to(hidden.dtype)
    return torch.unflatten(across, -1, (4, -1)).permute(1, 2, 0, 3).flatten(1)


class _Call(NamedTuple):
    """One call of the kernels: what is not differentiated."""

    module: ModuleType
    exponential: bool
    lengths: Tensor | None
    time: int
    reverse: bool

    def forward(self, projected: Tensor, weight: Tensor, state: Tensor, *, keep: bool) -> tuple[Any, ...]:
        """Hidden states and the last state [4, B, H]; kept for the way back: cells, gates."""
        _, batch, size = state.shape
        hidden, final = projected.new_empty(len(projected), size), torch.empty_like(state)
        cells, gates = (projected.new_empty(len(projected), n * size) if keep else None for n in (2, 5))
        given = (
            projected.contiguous(),
            weight.contiguous(),
            state,
            self.lengths,
            hidden,
            final,
            cells,
            gates,
        )
        getattr(self.module, kernel_name("slstm_forward", state))(
            *map(pointer, given), batch, self.time, size, len(weight), int(self.exponential),
            int(self.reverse), threads(),
        )  # fmt: skip
        return hidden, final, cells, gates


class _SLSTMScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, call: _Call, projected: Tensor, weight: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        hidden, final, *kept = call.forward(projected, weight, state, keep=True)
        ctx.call = call
        ctx.save_for_backward(weight, state, hidden, *kept)
        return hidden, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        weight, state, hidden, cells, gates = ctx.saved_tensors
        call, (_, batch, size) = ctx.call, state.shape
        grad_projected, before = hidden.new_empty(len(hidden), 4 * size), torch.empty_like(hidden)
        grad_state = torch.empty_like(state)
        given = (grad_hidden.contiguous(), grad_final.contiguous(), weight.contiguous(), state, call.lengths)
        results = (hidden, cells, gates, grad_projected, before, grad_state)
        getattr(call.module, kernel_name("slstm_backward", state))(
            *map(pointer, (*given, *results)),
            batch,
            call.time,
            size,
            len(weight),
            int(call.reverse),
            threads(),
        )
        grad_weight = torch.empty_like(weight)
        by_head = grad_projected.view(-1, 4, len(weight), size // len(weight))
        for head, seen in enumerate(before.chunk(len(weight), dim=1)):
            weight_gradient(by_head[:, :, head].flatten(1), seen, grad_weight[head])
        return None, grad_projected, grad_weight, grad_state
