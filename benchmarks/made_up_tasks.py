"""Endless made-up sequences to learn from: a small network over a backbone, and a training problem for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.data.chunks import Chunk
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.recurrence import Recurrence, zero_padding
from statewise.state import State
from statewise.training import TrainConfig, train

EPOCH = 1_000  # batches; an epoch has no other meaning here


class Batch(NamedTuple):
    """Sequences: inputs [B, T, I]; classes [B, T] or numbers [B, T, O] to answer; weights [B, T]."""

    inputs: Tensor
    target: Tensor
    weight: Tensor


Make = Callable[[np.random.Generator, int], Batch]  # so many sequences


class Tagger(Recurrence):
    """An answer at every step: x [B, T, I] to [B, T, O], by a ReLU layer, a backbone, a norm and a head."""

    def __init__(self, input_size: int, output_size: int, backbone: BackboneConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(input_size, backbone.hidden_size)
        self.backbone = Backbone(backbone.hidden_size, backbone)
        self.norm = nn.LayerNorm(backbone.hidden_size)
        self.head = nn.Linear(backbone.hidden_size, output_size)

    def initial_state(self, batch: int) -> State:
        return self.backbone.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.backbone.step(self.embed(x).relu(), state)
        return self.head(self.norm(y)), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, state = self.backbone(self.embed(zero_padding(x, lengths)).relu(), state, lengths)
        return zero_padding(self.head(self.norm(y)), lengths), state


class Endless:
    """The training problem: fresh sequences for ever; the score is that of held-out ones, lower is better."""

    def __init__(
        self, network: Tagger, make: Make, batch_size: int, score: Callable[[Tagger], float]
    ) -> None:
        self.network, self.make, self.batch_size, self.score = network, make, batch_size, score

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        for _ in range(EPOCH):
            yield Chunk(*self.make(rng, self.batch_size), fresh=True)

    def loss(self, network: Tagger, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        y, after = network(chunk.inputs, state)
        return (losses(y, chunk.target) * chunk.weight).sum() / chunk.weight.sum(), after

    def validate(self, network: Tagger) -> float:
        return self.score(network)


def losses(y: Tensor, target: Tensor) -> Tensor:
    """Of each answer [B, T]: cross-entropy of classes, or squares of differences."""
    if target.is_floating_point():
        return ((y - target) ** 2).mean(dim=-1)
    return functional.cross_entropy(y.transpose(1, 2), target, reduction="none")


@torch.no_grad()
def mean_loss(network: Tagger, batch: Batch) -> float:
    """Over the answers that count."""
    y, _ = network(batch.inputs)
    return float((losses(y, batch.target) * batch.weight).sum() / batch.weight.sum())


@torch.no_grad()
def right(network: Tagger, batch: Batch) -> float:
    """Share of right classes among the answers that count."""
    y, _ = network(batch.inputs)
    return float(((y.argmax(dim=-1) == batch.target) * batch.weight).sum() / batch.weight.sum())


@dataclass(frozen=True)
class Learned:
    """How a training ended."""

    network: Tagger
    steps: int
    score: float  # the best one
    cpu_seconds: float


def learn(
    network: Tagger,
    make: Make,
    score: Callable[[Tagger], float],
    enough: float,
    config: TrainConfig,
) -> Learned:
    """Train until `score` is at most `enough`, or to the last step."""
    problem = Endless(network, make, config.batch_size, score)
    began, steps, best = time.process_time(), 0, float("inf")
    for progress in train(problem, config):
        steps, best = progress.step, best if progress.best is None else progress.best
        if progress.validation is not None:
            print(f"  step {steps}: loss {progress.loss:.5f}, score {progress.validation:.5f}", flush=True)
        if best <= enough:
            break
    return Learned(network, steps, best, time.process_time() - began)


def tagger(input_size: int, output_size: int, backbone: Mapping[str, Any], seed: int) -> Tagger:
    """An untrained network."""
    torch.manual_seed(seed)
    return Tagger(input_size, output_size, BackboneConfig(**backbone))
