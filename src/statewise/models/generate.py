"""A fitted language model: what comes next, how surprising what came was, and texts of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Unpack, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from statewise.bundle import Bundle, TensorSpec
from statewise.core.errors import ConfigError
from statewise.decoding.sampling import Sampling, SamplingOptions, sample
from statewise.decoding.stopping import checked_stops, until
from statewise.metrics.language import bits_per_unit, perplexity
from statewise.models.autocomplete import Autocomplete
from statewise.models.model import Model
from statewise.models.restoring import restored
from statewise.nn.backbone import BackboneConfig
from statewise.rows.frame_like import frame_like
from statewise.rows.generate import GenerateCodec
from statewise.rows.records import Records
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.vocabulary import EOS
from statewise.state import State
from statewise.tasks.generate import Generate
from statewise.tasks.language_model import LanguageModel, LiveLanguageModel

_READ = 512  # items that are read at once
_LOG2 = float(np.log(2))


class Surprise(NamedTuple):
    """An item of a text and how much it told that was not expected, in bits: -log₂ of its probability."""

    token: str
    bits: float


class Writing(SamplingOptions, total=False):
    """What `generate` and `tokens` can be told."""

    stop: str | Sequence[str] | None
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class GenerateModel(Model):
    """A trained model of what comes next in a text or a sequence of events."""

    kind: ClassVar[str] = Generate.kind

    task: Generate
    codec: GenerateCodec

    @property
    def language_model(self) -> LanguageModel:
        """The networks."""
        return cast(LanguageModel, self.network)

    @cached_property
    def live(self) -> LiveLanguageModel:
        """The networks as a recurrence that tells the surprisal of each item and what may come next."""
        return LiveLanguageModel(self.language_model, self.codec.start).eval()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The number of an item."""
        return (TensorSpec("item", (), "int64"),)

    def items(self, data: Any) -> list[list[Any]]:
        """The items of every sequence, as a live session wants them one by one."""
        return [self.codec.tokens(sequence) for sequence in self.task.sequences(self.task.rows(data))]

    def predict(self, data: Any, k: int = 5) -> Any:
        """What comes next after every row: the `k` likeliest items, and how surprising the row was.

        Every row is read from its beginning (a log by its sequences). A list gives a list of mappings:
        `next`, a list of items, `probability`, a list, and `bits`, the mean surprisal per item of the row. A
        frame or a path gives a frame with these columns, of a log with the column of the sequences before.
        Raises DataError for rows that do not fit.
        """
        task = self.task
        rows = replace(task, documents=True).rows(data) if task.running else task.rows(data)
        sequences = replace(task, documents=True).sequences(rows) if task.running else task.sequences(rows)
        answers = [self._answer(sequence, k) for sequence in sequences]
        if isinstance(data, list):
            return answers
        columns: dict[str, list[Any]] = {}
        if task.by:
            columns[task.by] = list(dict.fromkeys(rows[task.by]))
        for name in ("next", "probability", "bits"):
            columns[name] = [answer[name] for answer in answers]
        return frame_like(columns, data)

    def answered(self, rows: Records) -> list[list[int]]:
        """The numbers of the rows behind each answer: of a log those of a sequence."""
        if not self.task.by:
            return super().answered(rows)
        found: dict[Any, list[int]] = {}
        for row, key in enumerate(rows[self.task.by]):
            found.setdefault(key, []).append(row)
        return list(found.values())

    def generate(self, prompt: Any = "", length: int = 200, **settings: Unpack[Writing]) -> Any:
        """A continuation of `prompt`: a text of at most `length` items, or a list of events.

        Settings, all with a default: those of `Sampling` (`temperature`, `top_k`, `top_p`, `min_p`,
        `repetition_penalty`), `stop`, one string or several before the first of which the text ends, and
        `seed`: the same seed gives the same text. A document also ends by itself. Raises ConfigError.
        """
        written = self.tokens(prompt, length, **settings)
        return list(written) if self.codec.events else "".join(written)

    def tokens(
        self,
        prompt: Any = "",
        length: int = 200,
        *,
        stop: str | Sequence[str] | None = None,
        seed: int = 0,
        **sampling: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """The same piece by piece, each as soon as it is certain; together they are what `generate` gives."""
        stops = checked_stops(stop)
        drawn = self._drawn(prompt, length, Sampling(**sampling), seed)
        if not self.codec.events:
            return until(self._texts(self.codec.encode(prompt), drawn), stops)
        if stop is not None:
            raise ConfigError("stop: got a text to stop at, but this model writes events.")
        return (self.codec.token(number) for number in drawn)

    def surprisal(self, sequence: Any) -> list[Surprise]:
        """The surprisal of every item of a text or a list of events, each given all before it."""
        ids = self.codec.encode(sequence)
        bits = (self.nats(ids) / _LOG2).tolist()
        return [
            Surprise(token, value) for token, value in zip(self.codec.tokens(sequence), bits, strict=True)
        ]

    def perplexity(self, data: Any) -> float:
        """Perplexity per item of the rows of `data`, running text as one, documents with their ends."""
        return perplexity(self._all_nats(data)[0])

    def bits(self, data: Any) -> float:
        """Bits per character of the rows of `data`, line ends counted (of events: bits per event)."""
        return bits_per_unit(*self._all_nats(data))

    def complete(self, prefix: str = "", k: int = 3) -> Autocomplete:
        """An autocomplete of `k` suggestions that has read `prefix`; its state is kept between keystrokes."""
        if self.codec.events:
            raise ConfigError("complete: this model suggests events: use predict or stream.")
        return Autocomplete(self.language_model, self.codec, k, prefix)

    def nats(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Surprisals (nats) [T] of a sequence of numbers from its beginning."""
        made = [nats for nats, _ in self.readings(ids)]
        return np.concatenate(made) if made else np.zeros(0)

    def readings(
        self, ids: Sequence[int] | NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.float64], Tensor]]:
        """Stretch by stretch: surprisals (nats) [L] and the log-probabilities [L, V] that each item met."""
        items = torch.as_tensor(np.asarray(ids, dtype=np.int64))
        inputs = torch.cat((torch.tensor([self.codec.start]), items))[:-1]
        state: State = self.language_model.initial_state(1)
        for given, wanted in zip(torch.split(inputs, _READ), torch.split(items, _READ), strict=True):
            if len(wanted):
                with torch.inference_mode():
                    log_probs, state = self.language_model(given.unsqueeze(0), state)
                nats = -log_probs[0].gather(1, wanted.unsqueeze(1)).squeeze(1)
                yield nats.double().numpy(), log_probs[0]

    def _all_nats(self, data: Any) -> tuple[NDArray[np.float64], int]:
        """Surprisals of every item of some rows, and how many letters these have."""
        corpus = self.codec.corpus(self.task.sequences(self.task.rows(data)))
        return np.concatenate([self.nats(ids) for ids in corpus.sequences]), corpus.letters

    def _answer(self, sequence: Any, k: int) -> dict[str, Any]:
        ids = self.codec.encode(sequence)
        nats = self.nats(ids)
        log_probs, _ = self._read(ids)
        likeliest = self.codec.likeliest(log_probs[0].double().numpy(), k)
        return {
            "next": [one["item"] for one in likeliest],
            "probability": [one["probability"] for one in likeliest],
            "bits": float(nats.mean() / _LOG2) if len(nats) else 0.0,
        }

    def _read(self, ids: Sequence[int]) -> tuple[Tensor, State]:
        """Log-probabilities [1, V] of what comes after a sequence, and the state there."""
        model = self.language_model
        state: State = model.initial_state(1)
        with torch.inference_mode():
            for part in torch.split(torch.tensor([[self.codec.start, *ids]]), _READ, dim=1):
                log_probs, state = model(part, state)
        return log_probs[:, -1], state

    def _drawn(self, prompt: Any, length: int, sampling: Sampling, seed: int) -> Iterator[int]:
        if length < 0:
            raise ConfigError(f"length: got {length}, want 0 or more.")
        ids = self.codec.encode(prompt or ([] if self.codec.events else ""))
        return self._draw(ids, length, sampling, seed)

    def _draw(self, ids: list[int], length: int, sampling: Sampling, seed: int) -> Iterator[int]:
        """At most `length` numbers after a prompt's; a document ends at `<eos>`, which is not given."""
        model = self.language_model
        banned = torch.zeros(model.size)
        banned[list(self.codec.never_drawn)] = -torch.inf
        log_probs, state = self._read(ids)
        seen = torch.zeros_like(log_probs, dtype=torch.bool)
        seen[0, ids] = True

        def step(token: Tensor, state: State) -> tuple[Tensor, State]:
            with torch.inference_mode():
                log_probs, state = model.step(token, state)
            return log_probs + banned, state

        generator = torch.Generator().manual_seed(seed)
        tokens = sample(step, log_probs + banned, state, sampling, generator=generator, seen=seen)
        for token in itertools.islice(tokens, length):
            number = int(token)
            if self.codec.documents and number == EOS:
                return
            yield number

    def _texts(self, before: list[int], drawn: Iterator[int]) -> Iterator[str]:
        """The text that each number adds to what stands before: words bring their space along."""
        # A few items before are enough to know how the next one is set; they need not be a whole text.
        context = before[-8:]
        for number in drawn:
            text, longer = self.codec.decode(context), self.codec.decode([*context, number])
            if isinstance(self.codec.reader, BytePairs) and longer.endswith("�"):
                context = [*context, number]  # in the middle of a character
                continue
            yield longer.removeprefix(text)
            context = [*context, number][-8:]


def from_bundle(bundle: Bundle) -> GenerateModel:
    """The model stored in a bundle. Raises BundleError."""
    return restored(bundle, GenerateModel, Generate, GenerateCodec.from_json, _networks)


def _networks(task: Generate, codec: GenerateCodec, backbone: BackboneConfig, members: int) -> LanguageModel:
    return LanguageModel([task.network(codec, backbone) for _ in range(members)])
