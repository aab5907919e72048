"""A small live model of words: a codec of a few words, and embedding → GRU → linear as a recurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from statewise.bundle import Bundle, TensorSpec
from statewise.cells.gru import GRU
from statewise.core.errors import StreamError
from statewise.models.model import Model
from statewise.nn.backbone import BackboneConfig
from statewise.nn.live import LiveStep
from statewise.recurrence import Recurrence
from statewise.state import State

WORDS = ("<pad>", "<unk>", "the", "cat", "sat", "on", "a", "mat")
TEXT = ["the", "cat", "sat", "on", "a", "mat", "the", "dog", "sat"]
INPUTS = (TensorSpec("word", (), "int64"),)


class WordCodec:
    """Words to ids; outputs to the word that is likeliest to follow."""

    def encode_item(self, item: Any) -> tuple[np.ndarray, ...]:
        if not isinstance(item, str) or not item:
            raise StreamError(f"word: got {item!r}, want text.")
        return (np.array(WORDS.index(item) if item in WORDS else 1, dtype=np.int64),)

    def to_json(self) -> dict[str, Any]:
        return {"words": list(WORDS)}

    def decode_output(self, output: np.ndarray) -> dict[str, Any]:
        best = int(output.argmax())
        return {"next": WORDS[best], "log_prob": float(output[best])}


class WordNetwork(Recurrence):
    """Ids [B] or [B, T] to log-probabilities of the next word."""

    def __init__(self, size: int = len(WORDS), hidden: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(size, 6)
        self.cell = GRU(6, hidden)
        self.readout = nn.Linear(hidden, size)

    def initial_state(self, batch: int) -> State:
        return self.cell.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.cell.step(self.embedding(x), state)
        return self.readout(y).log_softmax(-1), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, state = self.cell(self.embedding(x), state, lengths)
        return self.readout(y).log_softmax(-1), state


@dataclass(frozen=True)
class WordTask:
    """Nothing to be set."""

    kind: ClassVar[str] = "words"


@dataclass(frozen=True, eq=False, kw_only=True)
class WordModel(Model):
    """A model of sentences, which are strings."""

    kind: ClassVar[str] = "words"

    @property
    def live(self) -> Recurrence:
        assert isinstance(self.network, Recurrence)
        return self.network

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return INPUTS

    def items(self, data: Any) -> list[list[Any]]:
        return [sentence.split() for sentence in data]

    def predict(self, data: Any) -> Any:
        raise NotImplementedError


def word_model(network: Recurrence | None = None) -> WordModel:
    """The model, untrained."""
    made = network or WordNetwork()
    return WordModel(task=WordTask(), backbone=BackboneConfig(), codec=WordCodec(), network=made.eval())


def word_bundle(network: Recurrence, **parts: Any) -> Bundle:
    """The network as a bundle of a kind that is not in any table."""
    live = LiveStep(network, [spec.name for spec in INPUTS])
    return Bundle(
        kind="words",
        config={},
        codec={},
        quantiles=(),
        weights={name: weight.detach().numpy() for name, weight in network.state_dict().items()},
        inputs=INPUTS,
        state=live.initial_arrays(),
        **parts,
    )
