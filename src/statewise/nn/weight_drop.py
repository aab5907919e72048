"""DropConnect on the recurrent weights: single connections of the loop are missing for a whole chunk.

Source: Merity, Keskar and Socher 2018 (AWD-LSTM), section 2, after Wan et al. 2013.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from statewise.cells.start import check_rate
from statewise.core.errors import ConfigError
from statewise.recurrence import Recurrence
from statewise.state import State

RECURRENT = "recurrent_weight"  # what cells call the weights from the state to the state


def check_weight_drop(recurrence: Recurrence, rate: float) -> float:
    """The rate, checked. ConfigError where no cell has recurrent weights."""
    check_rate(rate, "weight_drop")
    if rate and not _names(recurrence):
        raise ConfigError("weight_drop: none of the cells has recurrent weights; set it to 0.")
    return rate


def forward_dropped(
    recurrence: Recurrence, rate: float, x: Any, state: State | None, lengths: Tensor | None = None
) -> tuple[Tensor, State]:
    """`recurrence.forward` with a share `rate` of its recurrent weights zero, the rest scaled to one mean.

    The mask is drawn once per call, before the loop runs: a kernel sees plain weights. Gradients reach the
    weights that were kept. Without training, or with rate 0, it is `recurrence.forward` itself.
    """
    if not recurrence.training or rate == 0.0:
        plain: tuple[Tensor, State] = recurrence(x, state, lengths)
        return plain
    named = dict(recurrence.named_parameters())
    weights = {name: functional.dropout(named[name], rate) for name in _names(recurrence)}
    dropped: tuple[Tensor, State] = torch.func.functional_call(recurrence, weights, (x, state, lengths))
    return dropped


def _names(recurrence: Recurrence) -> list[str]:
    return [name for name, _ in recurrence.named_parameters() if name.split(".")[-1] == RECURRENT]
