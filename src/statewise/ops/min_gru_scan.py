"""The recurrence of minGRU (Feng et al. 2024, section 3.1) over a whole sequence.

With z = σ(gate) and v the value, or g(value) of the paper's appendix B when it is to stay positive:

    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ v_t,   g(x) = x + ½ for x ≥ 0, σ(x) below
"""

from __future__ import annotations

import torch
from torch import Tensor

from statewise.ops.gated_scan import check, gated_scan
from statewise.ops.linear_scan import linear_scan
from statewise.ops.native import native_for
from statewise.ops.positive import positive_value
from statewise.recurrence import zero_padding


def min_gru_scan(
    gate: Tensor, value: Tensor, initial: Tensor, lengths: Tensor | None = None, *, positive: bool = False
) -> Tensor:
    """All h [B, T, D] from `gate` and `value` [B, T, D], both before their functions, and h_0 [B, D].

    After a row's length h is zero. Raises ShapeError when the shapes do not fit.
    """
    check("min_gru_scan", initial, gate=gate, value=value)
    if native_for(gate, value, initial) and gate.numel():
        return gated_scan("min_gru", (gate, value), initial, lengths, positive)
    gate, value = zero_padding((gate, value), lengths)
    v = positive_value(value) if positive else value
    return linear_scan((-gate).sigmoid(), gate.sigmoid() * v, initial, lengths)


def min_gru_scan_reference(
    gate: Tensor, value: Tensor, initial: Tensor, lengths: Tensor | None = None, *, positive: bool = False
) -> Tensor:
    """The same, step by step: the definition that `min_gru_scan` is held to."""
    gate, value = zero_padding((gate, value), lengths)
    h, rows = initial, []
    for gate_t, value_t in zip(gate.unbind(1), value.unbind(1), strict=True):
        z = gate_t.sigmoid()
        h = (1 - z) * h + z * (positive_value(value_t) if positive else value_t)
        rows.append(h)
    return zero_padding(torch.stack(rows, dim=1), lengths) if rows else value
