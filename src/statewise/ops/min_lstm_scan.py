"""The recurrence of minLSTM (Feng et al. 2024, section 3.2) over a whole sequence.

With f = σ(forget), i = σ(input) and v the value, or g(value) of the paper's appendix B:

    h_t = f_t / (f_t + i_t) ⊙ h_{t-1} + i_t / (f_t + i_t) ⊙ v_t
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from statewise.ops.gated_scan import check, gated_scan
from statewise.ops.linear_scan import linear_scan
from statewise.ops.native import native_for
from statewise.ops.positive import positive_value
from statewise.recurrence import zero_padding


def min_lstm_scan(
    forget: Tensor,
    input: Tensor,
    value: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
    *,
    positive: bool = False,
) -> Tensor:
    """All h [B, T, D] from `forget`, `input`, `value` [B, T, D], all before their functions, and h_0 [B, D].

    After a row's length h is zero. Raises ShapeError when the shapes do not fit.
    """
    check("min_lstm_scan", initial, forget=forget, input=input, value=value)
    if native_for(forget, input, value, initial) and forget.numel():
        return gated_scan("min_lstm", (forget, input, value), initial, lengths, positive)
    forget, input, value = zero_padding((forget, input, value), lengths)
    v = positive_value(value) if positive else value
    # f / (f + i) as a sigmoid of a difference: no quotient of two numbers that may both vanish.
    balance = functional.softplus(-input) - functional.softplus(-forget)
    return linear_scan(balance.sigmoid(), (-balance).sigmoid() * v, initial, lengths)


def min_lstm_scan_reference(
    forget: Tensor,
    input: Tensor,
    value: Tensor,
    initial: Tensor,
    lengths: Tensor | None = None,
    *,
    positive: bool = False,
) -> Tensor:
    """The same, step by step: the definition that `min_lstm_scan` is held to."""
    forget, input, value = zero_padding((forget, input, value), lengths)
    h, rows = initial, []
    for forget_t, input_t, value_t in zip(forget.unbind(1), input.unbind(1), value.unbind(1), strict=True):
        f, i = forget_t.sigmoid(), input_t.sigmoid()
        h = (f * h + i * (positive_value(value_t) if positive else value_t)) / (f + i)
        rows.append(h)
    return zero_padding(torch.stack(rows, dim=1), lengths) if rows else value
