"""Copies of a network's weights: the best ones so far, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name, cloned."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@torch.no_grad()
def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write `weights` into the network's own tensors, so that whoever holds these sees the new values."""
    for name, tensor in network.state_dict().items():
        tensor.copy_(weights[name])


class Average:
    """Exponential moving average of parameters. Source: Polyak and Juditsky 1992, in exponential form.

    The decay warms up as (1 + step) / (10 + step), so that an early average forgets the random start.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.tensors = [parameter.detach().clone() for parameter in parameters]
        self._live = [parameter.detach() for parameter in parameters]

    def update(self, step: int) -> None:
        """Take in the weights after optimiser step `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.tensors, self._live, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the network computes with the averaged weights."""
        raw = [tensor.clone() for tensor in self._live]
        torch._foreach_copy_(self._live, self.tensors)
        try:
            yield
        finally:
            torch._foreach_copy_(self._live, raw)

    def settle(self) -> None:
        """Make the average the network's weights for good."""
        torch._foreach_copy_(self._live, self.tensors)
