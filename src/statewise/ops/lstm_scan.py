"""The long short-term memory over whole sequences, with all that may act inside its loop.

With p_t the projected input, k the dropout mask, N and N_c layer norms (or nothing), w peepholes (or zero),
P the projection (or nothing), s zoneout:

    i, f, g, o = split(p_t + N(U (k ⊙ h)))
    f = σ(f + w_f ⊙ c),   i = σ(i + w_i ⊙ c), or 1 - f with coupled gates (then i is not in the split)
    c~ = f ⊙ c + i ⊙ tanh(g),   o = σ(o + w_o ⊙ c~)
    h~ = P (o ⊙ tanh(N_c(c~)))
    c' = (1 - s_c) ⊙ c~ + s_c ⊙ c,   h' = (1 - s_h) ⊙ h~ + s_h ⊙ h

Peepholes: Gers and Schmidhuber 2000; projection: Sak et al. 2014; coupled gates: Greff et al. 2017; layer
norm: Ba et al. 2016; zoneout: Krueger et al. 2017. Rows lie end to end without padding (ops/ragged.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from statewise.ops.lstm_native import LSTMCall, LSTMScan
from statewise.ops.native import native_for
from statewise.ops.recurrent import each_row, steps_per_row


class LSTMLoop(NamedTuple):
    """What acts inside the loop."""

    keep: Tensor | None = None  # dropout [B, P], no gradient
    stay_hidden: Tensor | None = None  # zoneout [N, P], no gradient
    stay_cell: Tensor | None = None  # zoneout [N, H], no gradient
    rate_hidden: float = 0.0  # for all units where the mask is None: zoneout in evaluation
    rate_cell: float = 0.0
    gain: Tensor | None = None  # layer norm of the gates [4 H] ([3 H] when coupled)
    cell_gain: Tensor | None = None  # layer norm of the cell [H]
    cell_bias: Tensor | None = None  # [H], with `cell_gain` only
    peephole: Tensor | None = None  # input, forget, output [3, H]; the first is not used when coupled
    projection: Tensor | None = None  # [P, H]
    coupled: bool = False


Stay = Tensor | float


def lstm_update(
    projected: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    loop: LSTMLoop,
    stay_hidden: Stay,
    stay_cell: Stay,
) -> tuple[Tensor, Tensor]:
    """One step: p [B, 4 H], h [B, P] and c [B, H] to the next h and c; the stays are masks or rates."""
    across = linear(h if loop.keep is None else h * loop.keep, weight)
    total = projected + (across if loop.gain is None else layer_norm(across, across.shape[-1:], loop.gain))
    *entry, f, g, o = total.chunk(3 if loop.coupled else 4, dim=-1)
    f = _through(f, loop.peephole, 1, c).sigmoid()
    i = 1 - f if loop.coupled else _through(entry[0], loop.peephole, 0, c).sigmoid()
    cell = f * c + i * g.tanh()
    o = _through(o, loop.peephole, 2, cell).sigmoid()
    seen = (
        cell if loop.cell_gain is None else layer_norm(cell, cell.shape[-1:], loop.cell_gain, loop.cell_bias)
    )
    output = o * seen.tanh()
    hidden = output if loop.projection is None else linear(output, loop.projection)
    # Under autocast the products are in half precision; the memory stays in full precision.
    return _zoned(hidden.to(h.dtype), h, stay_hidden), _zoned(cell, c, stay_cell)


def lstm_scan(
    projected: Tensor,
    weight: Tensor,
    hidden: Tensor,
    cell: Tensor,
    loop: LSTMLoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states [N, P], and of each row the last one [B, P] and the last cell [B, H].

    `projected` is p [N, 4 H] for the real steps of row 0, then of row 1, …; `weight` U [4 H, P], `hidden` h_0
    [B, P], `cell` c_0 [B, H]; `lengths` [B], or None when all rows have N / B steps. With `reverse` every row
    runs from its last step to its first. Differentiable once.
    """
    given = (projected, weight, hidden, cell, *_learned(loop))
    module = native_for(*given, loop.keep, loop.stay_hidden, loop.stay_cell)
    if module is None:
        return lstm_scan_reference(projected, weight, hidden, cell, loop, lengths, reverse)
    time, lengths = steps_per_row(len(projected), len(hidden), lengths)
    masks = (loop.keep, loop.stay_hidden, loop.stay_cell)
    call = LSTMCall(module, masks, (loop.rate_hidden, loop.rate_cell), loop.coupled, lengths, time, reverse)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given):
        outputs: tuple[Tensor, Tensor, Tensor] = LSTMScan.apply(call, *given)  # type: ignore[no-untyped-call]
        return outputs
    return call.forward(given, keep=False)[:3]


def lstm_scan_reference(
    projected: Tensor,
    weight: Tensor,
    hidden: Tensor,
    cell: Tensor,
    loop: LSTMLoop,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as the equations stand: what `lstm_scan` is held to."""
    keep = torch.ones_like(hidden) if loop.keep is None else loop.keep
    along = tuple(part for part in (loop.stay_hidden, loop.stay_cell) if part is not None)

    def run(parts: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h, c, mask), stays = state, list(parts[1:])
        stay_hidden: Any = loop.rate_hidden if loop.stay_hidden is None else stays.pop(0)
        stay_cell: Any = loop.rate_cell if loop.stay_cell is None else stays.pop(0)
        now = loop._replace(keep=mask)
        return *lstm_update(parts[0], h, c, weight, now, stay_hidden, stay_cell), mask

    outputs, last = each_row(run, projected, (hidden, cell, keep), lengths, reverse, along)
    return outputs, last[0], last[1]


def _learned(loop: LSTMLoop) -> tuple[Tensor | None, ...]:
    return loop.projection, loop.peephole, loop.gain, loop.cell_gain, loop.cell_bias


def _through(gate: Tensor, peephole: Tensor | None, which: int, cell: Tensor) -> Tensor:
    return gate if peephole is None else gate + peephole[which] * cell


def _zoned(after: Tensor, before: Tensor, stay: Stay) -> Tensor:
    return after if isinstance(stay, float) and stay == 0.0 else stay * before + (1 - stay) * after
