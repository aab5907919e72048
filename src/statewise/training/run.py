"""Everything that training changes, in one place: what a checkpoint holds is what stands here."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from statewise.core.errors import TrainingError
from statewise.state import State
from statewise.training.config import TrainConfig
from statewise.training.optimizer import make_optimizer
from statewise.training.randomness import TorchStream
from statewise.training.weights import averaging, copy_weights, load_weights


@dataclass
class Counters:
    """Plain values of a run; they go into the checkpoint as JSON."""

    step: int = 0  # optimiser steps taken
    epoch: int = 0  # passes over the data finished
    chunk: int = 0  # chunks of this epoch taken
    steps: int | None = None  # limit in steps; None: time alone ends the run
    threads: int | None = None  # chosen at the first chunk
    clipped: int = 0  # steps whose gradient was clipped
    best: float | None = None
    best_step: int = 0
    waited: int = 0  # validations since the best one
    elapsed: float = 0.0  # seconds
    validation_seconds: float = 0.0  # the last validation took
    stopped: str = ""  # the limit that ended the run


class Run:
    """A network in training: weights, optimiser, random streams, data order, carried state, best weights."""

    def __init__(self, network: nn.Module, config: TrainConfig) -> None:
        self.network = network
        self.config = config
        self.names = [name for name, p in network.named_parameters() if p.requires_grad]
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        if not self.parameters:
            raise TrainingError("network: it has no parameter to train (requires_grad is False everywhere).")
        self.device = self.parameters[0].device
        self.optimizer = make_optimizer(config.optimizer, self.parameters, config.weight_decay)
        self.random = TorchStream(config.seed, self.device)
        self.order = np.random.default_rng(config.seed)
        self.order_at_epoch = self.order.bit_generator.state
        self.average = averaging(self.parameters, config.average, config.average_last)
        self.best: dict[str, Tensor] | None = None
        self.carried: State | None = None
        self.counters = Counters()

    @torch.no_grad()
    def keep_best(self, validation: float) -> None:
        """Compare a validation (of the weights as they stand in the network now) with the best one so far."""
        counters = self.counters
        counters.waited += 1
        if counters.best is None or validation < counters.best:
            counters.best, counters.best_step, counters.waited = validation, counters.step, 0
            self.best = copy_weights(self.network)

    def averaged(self) -> AbstractContextManager[None]:
        """A context in which the network has the weights that are validated and kept."""
        return nullcontext() if self.average is None else self.average.in_place()

    def precision(self) -> AbstractContextManager[object]:
        """A context in which losses are computed: bfloat16 matrix products, or nothing special."""
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def settle(self) -> None:
        """Leave the network ready for use: best weights if there are any, else the average, in eval mode."""
        if self.best is not None:
            load_weights(self.network, self.best)
        elif self.average is not None and self.counters.step:
            self.average.settle()
        self.network.eval()
