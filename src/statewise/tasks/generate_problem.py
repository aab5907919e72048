"""Generation as a training problem: truncated backpropagation through time with the state carried on.

Running text is cut into lanes side by side, at an offset drawn anew in every epoch, and each lane is read
from its beginning to its end, chunk by chunk. Documents are batched by length, each from its own beginning.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from statewise.data.bucketing import buckets, pad
from statewise.data.chunks import Chunk, cut, to_device
from statewise.rows.generate import Corpus
from statewise.state import State
from statewise.tasks.language_network import LanguageNetwork

_LANE = 4096  # items of a lane that is only read
_LANES = 32
_WARM = 256  # items before it that fill its state
_READ = 512  # steps of a chunk that is only read
_TOKENS = 8192  # of a batch of documents that is only read
_SHORTEST = 5


@dataclass(frozen=True)
class Lanes:
    """How sequences become chunks: lanes side by side, or a budget of items, and steps per chunk."""

    batch_size: int
    batch_tokens: int = 0
    chunk_length: int = 128
    vary_length: bool = False


@dataclass(frozen=True)
class Penalties:
    """Weights of the mean square of what is read out, and of its changes (Merity et al. 2017: AR, TAR)."""

    activation: float = 0.0
    slowness: float = 0.0

    def of(self, y: Tensor) -> Tensor:
        """The penalty of contexts [B, T, H]."""
        total = y.new_zeros(())
        if self.activation:
            total = total + self.activation * y.square().mean()
        if self.slowness and y.shape[1] > 1:
            total = total + self.slowness * (y[:, 1:] - y[:, :-1]).square().mean()
        return total


class GenerateProblem:
    """Training data and loss of a language network; the score is the mean surprisal (nats) of `held_out`.

    Every sequence is predicted from its first item on, after the item `start`.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        training: Corpus,
        held_out: Corpus,
        start: int,
        lanes: Lanes,
        penalties: Penalties = Penalties(),
    ) -> None:
        self.network, self.lanes, self.penalties = network, lanes, penalties
        self.training = [_begun(ids, start) for ids in training.sequences]
        self.held_out = [_begun(ids, start) for ids in held_out.sequences]

    @property
    def validates(self) -> bool:
        """Whether anything is held out."""
        return any(len(ids) > 1 for ids in self.held_out)

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """All lanes once, at an offset drawn anew; or all documents, in batches of like length."""
        if len(self.training) > 1:
            yield from self._documents(rng)
            return
        ids, length = self.training[0], self.lanes.chunk_length
        offset = int(rng.integers(length)) if len(ids) > 4 * length else 0
        count = min(self.lanes.batch_size, max((len(ids) - 1) // _SHORTEST, 1))
        time = (len(ids) - 1 - offset) // count
        inputs = ids[offset : offset + count * time].view(count, time)
        target = ids[offset + 1 : offset + 1 + count * time].view(count, time)
        weight = torch.ones(count, time)
        edges = [0, *np.cumsum(self._steps(time, rng)).tolist()]
        for first, end in itertools.pairwise(edges):
            part = slice(first, min(end, time))
            yield Chunk(inputs[:, part], target[:, part], weight[:, part], fresh=first == 0, last=end >= time)

    def loss(self, network: LanguageNetwork, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean surprisal (nats) of a chunk and penalties; one of varied length counts by its length."""
        y, after = network.contexts(chunk.inputs, state)
        nats = network.losses(y, chunk.target)
        mean = (nats * chunk.weight).sum() / chunk.weight.sum().clamp(min=1)
        share = chunk.weight.shape[1] / self.lanes.chunk_length if self.lanes.vary_length else 1.0
        return share * (mean + self.penalties.of(y)), after

    def validate(self, network: LanguageNetwork) -> float:
        """Mean surprisal (nats) per held-out item; long texts in lanes whose state is warmed before them."""
        total, count = 0.0, 0.0
        state: State = ()
        device = network.embedding.weight.device
        for held_out in self._held_out():
            chunk = to_device(held_out, device)
            state = network.initial_state(len(chunk.weight)) if chunk.fresh else state
            y, state = network.contexts(chunk.inputs, state)
            total += float((network.losses(y, chunk.target) * chunk.weight).sum())
            count += float(chunk.weight.sum())
        return total / max(count, 1.0)

    def _held_out(self) -> Iterator[Chunk]:
        if len(self.held_out) == 1:
            yield from cut(*read_lanes(self.held_out[0]), _READ)
            return
        for group in buckets([len(ids) - 1 for ids in self.held_out], batch_tokens=_TOKENS):
            yield from _batch([self.held_out[row] for row in group], _READ)

    def _documents(self, rng: np.random.Generator) -> Iterator[Chunk]:
        rows = 0 if self.lanes.batch_tokens else self.lanes.batch_size
        lengths = [len(ids) - 1 for ids in self.training]
        for group in buckets(lengths, batch_size=rows, batch_tokens=self.lanes.batch_tokens, rng=rng):
            yield from _batch([self.training[row] for row in group], self.lanes.chunk_length)

    def _steps(self, time: int, rng: np.random.Generator) -> list[int]:
        """Lengths of chunks that together hold `time` steps: Merity et al. 2018, section 4."""
        length, made = self.lanes.chunk_length, []
        while time > 0:
            step = length
            if self.lanes.vary_length:
                middle = length if rng.random() < 0.95 else length / 2
                step = max(_SHORTEST, round(rng.normal(middle, 5.0)))
            made.append(step)
            time -= step
        return made


def read_lanes(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and weights [B, T] that count every item of a long text once.

    Each lane but the first, which stands at the text's beginning, starts with items that only fill its state.
    """
    steps = len(ids) - 1
    count = min(max(steps // _LANE, 1), _LANES)
    span = -(-steps // count)
    first = torch.arange(count).unsqueeze(1) * span
    begin = (first - _WARM).clamp(min=0)
    place = begin + torch.arange(span + (_WARM if count > 1 else 0))
    inside = (place >= first) & (place < first + span) & (place < steps)
    place = place.clamp(max=steps - 1)
    return ids[place], ids[place + 1], inside.float()


def _begun(ids: np.ndarray, start: int) -> Tensor:
    return torch.from_numpy(np.concatenate([[start], ids]).astype(np.int64))


def _batch(sequences: list[Tensor], chunk_length: int) -> Iterator[Chunk]:
    inputs, lengths = pad([ids[:-1].numpy() for ids in sequences])
    target, _ = pad([ids[1:].numpy() for ids in sequences])
    weight = (torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)).float()
    yield from cut(inputs, target, weight, chunk_length)
