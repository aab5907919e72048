"""Training a translator: rows split by source text, tokenisers fitted, networks trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from statewise.models.translate import TranslateModel
from statewise.nn.backbone import BackboneConfig
from statewise.tasks.translate import Translate
from statewise.tasks.translate_problem import Lesson, Pairs, TranslateProblem
from statewise.tasks.translator import Translator
from statewise.training.config import TrainConfig
from statewise.training.plan import Kind, Settings, divided, seeded, widened

_SAMPLES = 2  # rows whose translations go into the bundle


class TranslatePlan:
    """One fit of a translator. Raises DataError for rows that do not fit, ConfigError."""

    def __init__(self, task: Translate, data: Any, settings: Settings) -> None:
        self.task, self.settings = task, settings
        self.rows, self.held_out = divided(task.rows, data, settings, by=task.source)
        codec = task.codec(self.rows)
        self.codec = codec if settings.start is None else widened(codec, settings).measured(self.rows)
        self.training = Pairs.of(self.codec, self.rows)
        self.validation = None if self.held_out is None else Pairs.of(self.codec, self.held_out)
        self.networks = seeded(settings, lambda: task.member(self.codec, settings.backbone))

    def problems(self) -> Iterator[TranslateProblem]:
        """One per member."""
        task, train = self.task, self.settings.train
        lesson = Lesson(
            train.batch_size,
            train.batch_tokens,
            task.label_smoothing,
            task.scheduled_sampling,
            task.bpe_dropout,
        )
        for network in self.networks:
            yield TranslateProblem(network, self.training, self.validation, lesson)

    def model(self, outcome: Mapping[str, Any]) -> TranslateModel:
        """The model with the translations of a few training rows."""
        model = TranslateModel(
            task=self.task,
            backbone=self.settings.backbone,
            codec=self.codec,
            network=Translator(self.networks).eval(),
            training=outcome,
            members=self.settings.members,
        )
        few = self.rows.take(range(min(_SAMPLES, len(self.rows))))
        return model.with_samples([{self.task.source: line} for line in few[self.task.source]])

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, tokens, vocabularies, and how many sources were longer than what is read of them."""
        return {
            "rows": len(self.rows),
            "validation_rows": 0 if self.held_out is None else len(self.held_out),
            "target_tokens": int(self.training.lengths[:, 1].sum()),
            "vocabulary": [self.codec.source.size, self.codec.target.size],
            "cut": self.codec.cut(self.rows),
        }


KIND = Kind(
    TranslatePlan,
    BackboneConfig("gru", 256, 2, dropout=0.3),
    TrainConfig(
        epochs=12,
        batch_tokens=1500,
        learning_rate=2e-3,
        weight_decay=0.0,
        average=0.998,
        validate_every=200,
        patience=10,
    ),
)
