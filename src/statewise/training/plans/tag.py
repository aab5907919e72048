"""Training a tagger: rows split, codec fitted, networks trained, then calibrated on the held-out rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from statewise.models.tag import TagModel
from statewise.nn.backbone import BackboneConfig
from statewise.rows.records import Records
from statewise.rows.tag import TagCodec, features_of, sentences_of
from statewise.tasks.tag import Tag, pooled
from statewise.tasks.tag_calibration import calibrated
from statewise.tasks.tag_problem import Sentences, TagProblem
from statewise.training.config import TrainConfig
from statewise.training.plan import Kind, Settings, divided, seeded, widened

_SAMPLES = 2  # rows whose answers go into the bundle
_SAMPLE_WORDS = 32  # of a live session


class TagPlan:
    """One fit of a tagger. Raises DataError for rows that do not fit, ConfigError."""

    def __init__(self, task: Tag, data: Any, settings: Settings) -> None:
        self.task, self.settings = task, settings
        self.rows, self.held_out = divided(task.rows, data, settings)
        self.codec = widened(task.codec(self.rows), settings)
        self.training = encoded(self.codec, self.rows)
        self.validation = encoded(self.codec, self.held_out) if self.held_out is not None else None
        self.networks = seeded(settings, lambda: task.member(self.codec, settings.backbone))
        task.start(self.codec, self.networks)

    def problems(self) -> Iterator[TagProblem]:
        """One per member."""
        train = self.settings.train
        for network in self.networks:
            yield TagProblem(
                network,
                self.training,
                self.validation,
                batch_size=train.batch_size,
                batch_tokens=train.batch_tokens,
            )

    def model(self, outcome: Mapping[str, Any]) -> TagModel:
        """The model, calibrated and with its threshold for spans, both from the held-out rows."""
        network, codec = pooled(self.networks).eval(), self.codec
        record: dict[str, Any] = {}
        if self.validation is not None:
            codec, record = calibrated(network, codec, self.validation)
        model = TagModel(
            task=self.task,
            backbone=self.settings.backbone,
            codec=codec,
            network=network,
            training={**outcome, "calibration": record},
            members=self.settings.members,
        )
        return model.with_samples(_samples(model, self.rows))

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, tokens, and how often each label stands in the training rows."""
        labels = zip(self.codec.names, self.codec.labels.counts, strict=True)
        return {
            "rows": len(self.rows),
            "validation_rows": 0 if self.held_out is None else len(self.held_out),
            "tokens": sum(map(len, self.training.labels)),
            "labels": dict(labels),
        }


def encoded(codec: TagCodec, rows: Records) -> Sentences:
    """Words and labels of checked rows. Raises DataError for a label that training rows do not have."""
    sentences, labels = sentences_of(rows, codec, labelled=True)
    features = features_of(rows, codec.tokens, codec.features)
    return Sentences(codec.encode(sentences, features), codec.target(labels, rows.place))


def _samples(model: TagModel, rows: Records) -> list[Any]:
    """Words of one live session, or rows to predict."""
    few = rows.take(range(min(_SAMPLES, len(rows)))).columns
    if model.streams_live:
        return [item for items in model.items(few) for item in items][:_SAMPLE_WORDS]
    sentences, _ = sentences_of(model.task.rows(few), model.codec, labelled=False)
    names = model.codec.features
    return [
        {model.codec.tokens: words, **{name: few[name][row] for name in names}}
        for row, words in enumerate(sentences)
    ]


KIND = Kind(
    TagPlan,
    BackboneConfig("lstm", 300, 1, recurrent_dropout=0.2),
    TrainConfig(
        epochs=10,
        batch_tokens=1000,
        learning_rate=3e-3,
        weight_decay=0.01,
        average=0.998,
        validate_every=100,
        patience=0,
    ),
)
