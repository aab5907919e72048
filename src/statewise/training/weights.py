"""Copies of a network's weights: the best ones so far, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

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


class Averaging(Protocol):
    """Weights that are validated and kept in place of the trained ones."""

    def update(self, step: int) -> None:
        """Take in the weights after optimiser step `step`, counted from 1."""

    def validated(self) -> None:
        """Take in the weights that stand in the network as it is about to be validated."""

    def in_place(self) -> AbstractContextManager[None]:
        """Inside, the network computes with the averaged weights."""

    def settle(self) -> None:
        """Make the average the network's weights for good."""

    def leaves(self, names: Sequence[str]) -> dict[str, Tensor]:
        """What a checkpoint holds of it; `names` are those of the parameters."""

    def load(self, names: Sequence[str], leaves: Mapping[str, Tensor]) -> None:
        """The inverse of `leaves`."""


def averaging(parameters: Sequence[nn.Parameter], decay: float, last: int) -> Averaging | None:
    """The moving average of rate `decay`, or the mean of the `last` validated weights; None for neither."""
    if decay:
        return Average(parameters, decay)
    return LastAverage(parameters, last) if last else None


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

    def validated(self) -> None:
        """Nothing: every step was taken in."""

    def in_place(self) -> AbstractContextManager[None]:
        """Inside, the network computes with the averaged weights."""
        return _exchanged(self._live, self.tensors)

    def settle(self) -> None:
        """Make the average the network's weights for good."""
        torch._foreach_copy_(self._live, self.tensors)

    def leaves(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The average by parameter."""
        return dict(zip(names, self.tensors, strict=True))

    def load(self, names: Sequence[str], leaves: Mapping[str, Tensor]) -> None:
        """The inverse of `leaves`."""
        torch._foreach_copy_(self.tensors, [leaves[name] for name in names])


class LastAverage:
    """Mean of the weights at the last `count` validations: checkpoint averaging (Vaswani et al. 2017, §6)."""

    def __init__(self, parameters: Sequence[nn.Parameter], count: int) -> None:
        self.count = count
        self.recent: list[list[Tensor]] = []  # oldest first
        self._live = [parameter.detach() for parameter in parameters]

    def update(self, step: int) -> None:
        """Nothing: only validated weights count."""

    def validated(self) -> None:
        """Take in the weights of now; those of `count` validations ago go."""
        self.recent = [*self.recent, [tensor.clone() for tensor in self._live]][-self.count :]

    def in_place(self) -> AbstractContextManager[None]:
        """Inside, the network computes with the averaged weights."""
        return _exchanged(self._live, self._mean())

    def settle(self) -> None:
        """Make the average the network's weights for good."""
        torch._foreach_copy_(self._live, self._mean())

    def leaves(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The weights of each validation by number and parameter."""
        return {
            f"{number}/{name}": tensor
            for number, weights in enumerate(self.recent)
            for name, tensor in zip(names, weights, strict=True)
        }

    def load(self, names: Sequence[str], leaves: Mapping[str, Tensor]) -> None:
        """The inverse of `leaves`."""
        count = len(leaves) // len(names)
        self.recent = [[leaves[f"{number}/{name}"] for name in names] for number in range(count)]

    def _mean(self) -> list[Tensor]:
        if not self.recent:
            return self._live
        return [torch.stack(parts).mean(dim=0) for parts in zip(*self.recent, strict=True)]


@contextmanager
def _exchanged(live: list[Tensor], other: list[Tensor]) -> Iterator[None]:
    """Inside, `live` holds the values of `other`."""
    raw = [tensor.clone() for tensor in live]
    torch._foreach_copy_(live, other)
    try:
        yield
    finally:
        torch._foreach_copy_(live, raw)
