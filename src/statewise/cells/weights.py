"""First values of a cell's weights."""

from __future__ import annotations

import torch
from torch import nn


def input_weight(gates: int, hidden_size: int, input_size: int) -> nn.Parameter:
    """[gates · H, I], each gate's block uniform, variance 2 / (I + H) (Glorot and Bengio 2010, eq. 16)."""
    weight = torch.empty(gates, hidden_size, input_size)
    for block in weight:
        nn.init.xavier_uniform_(block)
    return nn.Parameter(weight.view(gates * hidden_size, input_size))


def recurrent_weight(gates: int, hidden_size: int) -> nn.Parameter:
    """[gates · H, H], each gate's block orthogonal: memory neither grows nor fades at first (Saxe 2014)."""
    weight = torch.empty(gates, hidden_size, hidden_size)
    for block in weight:
        nn.init.orthogonal_(block)
    return nn.Parameter(weight.view(gates * hidden_size, hidden_size))


def gate_bias(gates: int, hidden_size: int, open_gate: int | None = None) -> nn.Parameter:
    """[gates · H], zero; one for the gate that keeps the memory (Gers, Schmidhuber and Cummins 2000)."""
    bias = torch.zeros(gates, hidden_size)
    if open_gate is not None:
        bias[open_gate] = 1.0
    return nn.Parameter(bias.view(-1))
