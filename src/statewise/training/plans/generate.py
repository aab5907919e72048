"""Training a language model: text split, codec fitted on the training part, networks trained on its lanes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from statewise.core.errors import DataError
from statewise.models.generate import GenerateModel
from statewise.nn.backbone import BackboneConfig
from statewise.tasks.generate import Generate
from statewise.tasks.generate_problem import GenerateProblem, Lanes, Penalties
from statewise.tasks.language_model import LanguageModel
from statewise.training.config import TrainConfig
from statewise.training.plan import Kind, Settings, seeded, widened

_SAMPLE_ITEMS = 32
_CHUNK = 128


class GeneratePlan:
    """One fit of a language model. Raises DataError for rows that do not fit, ConfigError."""

    def __init__(self, task: Generate, data: Any, settings: Settings) -> None:
        self.task, self.settings = task, settings
        training, held_out = _parts(task, data, settings)
        self.codec = widened(task.codec(training), settings)
        self.training, self.held_out = self.codec.corpus(training), self.codec.corpus(held_out)
        if self.training.tokens < 2:
            raise DataError("data: the training part has fewer than 2 items to learn from: give more rows.")
        self.networks = seeded(settings, lambda: task.network(self.codec, settings.backbone))

    def problems(self) -> Iterator[GenerateProblem]:
        """One per member."""
        task, train = self.task, self.settings.train
        length = train.chunk_length or _CHUNK
        lanes = Lanes(train.batch_size, train.batch_tokens, length, task.vary_length)
        penalties = Penalties(task.activation_penalty, task.slowness_penalty)
        for network in self.networks:
            yield GenerateProblem(network, self.training, self.held_out, self.codec.start, lanes, penalties)

    def model(self, outcome: Mapping[str, Any]) -> GenerateModel:
        """The model with sample items."""
        model = GenerateModel(
            task=self.task,
            backbone=self.settings.backbone,
            codec=self.codec,
            network=LanguageModel(self.networks).eval(),
            training=outcome,
            members=self.settings.members,
        )
        first = self.training.sequences[0][:_SAMPLE_ITEMS]
        return model.with_samples([self.codec.token(number) for number in first.tolist()])

    @property
    def facts(self) -> dict[str, Any]:
        """Sequences and items to learn from, items held out, size of the vocabulary."""
        return {
            "sequences": len(self.training.sequences),
            "items": self.training.tokens,
            "validation_items": self.held_out.tokens,
            "vocabulary": self.codec.size,
        }


def _parts(task: Generate, data: Any, settings: Settings) -> tuple[list[Any], list[Any]]:
    """Training and held-out sequences: of running text the last share, of others some drawn by the seed."""
    rows = task.rows(data)
    if settings.share is None:
        return task.sequences(rows), task.sequences(task.rows(settings.validation, "validation"))
    if task.running:
        return _cut(task.sequences(rows)[0], settings.share, whole_words=task.tokenizer != "characters")
    if not settings.share:
        return task.sequences(rows), []
    kept, held = rows.split(settings.share, settings.train.seed, by=task.by)
    return task.sequences(kept), task.sequences(held)


def _cut(text: str, share: float, *, whole_words: bool) -> tuple[list[str], list[str]]:
    """The text and its end; not in the middle of a word."""
    place = int(len(text) * (1 - share))
    while whole_words and place < len(text) and not text[place].isspace():
        place += 1
    return [text[:place]], [text[place:]] if share else []


KIND = Kind(
    GeneratePlan,
    BackboneConfig("gru", 256, 2, dropout=0.2),
    TrainConfig(
        epochs=4,
        batch_size=32,
        chunk_length=_CHUNK,
        learning_rate=4e-3,
        average=0.99,
        validate_every=100,
        patience=10,
    ),
)
