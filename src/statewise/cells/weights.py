"""First values of a cell's weights."""

from __future__ import annotations

import torch
from torch import nn

_GAIN = 3**-0.5


def input_weight(gates: int, hidden_size: int, input_size: int) -> nn.Parameter:
    """[gates · H, I], uniform in ±1/√H, as torch.nn does: larger weights fit the noise of short series."""
    weight = torch.empty(gates * hidden_size, input_size)
    return nn.Parameter(nn.init.uniform_(weight, -(hidden_size**-0.5), hidden_size**-0.5))


def recurrent_weight(gates: int, hidden_size: int, output_size: int = 0) -> nn.Parameter:
    """[gates · H, H], each gate's block orthogonal (Saxe et al. 2014), with the variance of torch.nn's start.

    [gates · H, output_size] where the hidden states are a projection of the units.

    At full gain every unit answers all others from the first step, which fits the noise of short series.
    """
    weight = torch.empty(gates, hidden_size, output_size or hidden_size)
    for block in weight:
        nn.init.orthogonal_(block, gain=_GAIN)
    return nn.Parameter(weight.view(gates * hidden_size, -1))


def gate_bias(
    gates: int, hidden_size: int, open_gate: int | None = None, openness: float = 1.0
) -> nn.Parameter:
    """[gates · H], zero; `openness` for the gate that keeps the memory (Gers, Schmidhuber and Cummins 2000).

    It is -1 where the gate says what enters rather than what stays.
    """
    bias = torch.zeros(gates, hidden_size)
    if open_gate is not None:
        bias[open_gate] = openness
    return nn.Parameter(bias.view(-1))
