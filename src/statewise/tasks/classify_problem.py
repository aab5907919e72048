"""Classification as a training problem: whole sequences of like length in batches, one loss each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from statewise.data.bucketing import buckets, pad
from statewise.data.chunks import Chunk
from statewise.nn.temperature import label_temperature, sigmoid, softmax, temperature
from statewise.recurrence import Input
from statewise.rows.classify_text import Arrays
from statewise.state import State
from statewise.tasks.classifier import Classifier
from statewise.tasks.classify_network import CausalClassifier, WholeClassifier

_TOKENS = 8_192  # of a batch that is only read, padding counted
_TINY = 1e-15
Network = CausalClassifier | WholeClassifier


@dataclass(frozen=True, eq=False)
class Examples:
    """Encoded sequences and their classes [N], or zeros and ones [N, K]."""

    arrays: Sequence[Arrays]
    target: NDArray[Any]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each sequence."""
        return np.array([len(parts[0]) for parts in self.arrays], dtype=np.int64)


@dataclass(frozen=True)
class LossConfig:
    """How answers are judged in training."""

    weights: Sequence[float]  # of the labels
    label_smoothing: float = 0.0
    focal: float = 0.0
    multi_label: bool = False


@dataclass(frozen=True)
class BatchConfig:
    """How large a batch is: rows, or a budget of steps with their padding."""

    rows: int
    steps: int = 0


class ClassifyProblem:
    """Training data and loss of a classifier; `held_out` is scored by its log loss, calibrated."""

    def __init__(
        self, network: Network, training: Examples, held_out: Examples, batch: BatchConfig, loss: LossConfig
    ) -> None:
        self.network, self.training, self.held_out = network, training, held_out
        self.batch, self.config = batch, loss

    @property
    def validates(self) -> bool:
        """Whether rows are held out."""
        return len(self.held_out.arrays) > 0

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """All sequences once, in batches of like length."""
        rows = 0 if self.batch.steps else self.batch.rows
        lengths = self.training.lengths
        for group in buckets(lengths, batch_size=rows, batch_tokens=self.batch.steps, rng=rng):
            target = torch.from_numpy(self.training.target[group])
            inputs = batch_of([self.training.arrays[row] for row in group])
            yield Chunk(inputs, target, torch.ones(len(group), 1), fresh=True, last=True)

    def loss(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean weighted loss of a batch of whole sequences."""
        x, lengths = chunk.inputs
        return loss_of(network.logits(x, lengths), chunk.target, self.config), state

    def validate(self, network: Network) -> float:
        """Log loss (nats) on the held-out rows at the temperature that suits them: sharpness is set later."""
        return calibrated_loss(logits_of(network, self.held_out.arrays), self.held_out.target)


def loss_of(logits: Tensor, target: Tensor, config: LossConfig) -> Tensor:
    """Mean weighted loss of logits [N, K]: classes [N], or zeros and ones [N, K] of several labels."""
    weights = torch.tensor(config.weights, dtype=logits.dtype, device=logits.device)
    if config.multi_label:
        wanted = target + config.label_smoothing * (0.5 - target)
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        right = torch.where(target > 0.5, logits, -logits).sigmoid()
        return (each * weights * (1 - right) ** config.focal).mean()
    each = functional.cross_entropy(logits, target, reduction="none", label_smoothing=config.label_smoothing)
    right = logits.softmax(dim=-1).gather(1, target.unsqueeze(1)).squeeze(1)
    weight = weights[target] * (1 - right) ** config.focal
    return (each * weight).sum() / weights[target].sum().clamp(min=_TINY)


def batch_of(arrays: Sequence[Arrays]) -> tuple[Input, Tensor]:
    """Encoded sequences as one padded input (a tensor, or a tuple of them) and their lengths [B]."""
    parts = [pad(column) for column in zip(*arrays, strict=True)]
    inputs = tuple(padded for padded, _ in parts)
    return (inputs[0] if len(inputs) == 1 else inputs), parts[0][1]


@torch.no_grad()
def logits_of(network: Network | Classifier, arrays: Sequence[Arrays]) -> NDArray[np.float64]:
    """Logits [N, K] of sequences, in their order."""
    places, made = [], []
    for group in buckets([len(parts[0]) for parts in arrays], batch_tokens=_TOKENS):
        x, lengths = batch_of([arrays[row] for row in group])
        made.append(network.logits(x, lengths).double().numpy())
        places.append(group)
    logits: NDArray[np.float64] = np.concatenate(made)[np.argsort(np.concatenate(places), kind="stable")]
    return logits


def calibrated_loss(logits: NDArray[np.float64], target: NDArray[Any]) -> float:
    """Log loss (nats) of classes [N], or of yes and no [N, K], at the likeliest temperature."""
    if target.ndim == 1:
        made = softmax(logits / temperature(logits, target))
        right = made[np.arange(len(made)), target]
    else:
        made = sigmoid(logits / label_temperature(logits, target))
        right = np.where(target > 0.5, made, 1 - made)
    return float(-np.log(np.clip(right, _TINY, 1)).mean())
