"""Training a classifier: rows split, codec fitted, networks trained, then calibrated on the held-out rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError
from statewise.metrics.classification import binary_log_loss, expected_calibration_error, log_loss
from statewise.models.classify import ClassifyModel
from statewise.nn.backbone import BackboneConfig
from statewise.nn.n_grams import NGramScores
from statewise.nn.temperature import label_temperature, sigmoid, softmax, temperature
from statewise.rows.classify import ClassifyCodec
from statewise.rows.decision import sure_enough
from statewise.rows.records import Records
from statewise.tasks.classifier import Classifier, LiveClassifier, classifier
from statewise.tasks.classify import Classify
from statewise.tasks.classify_network import CausalClassifier, WholeClassifier
from statewise.tasks.classify_problem import (
    BatchConfig,
    ClassifyProblem,
    Examples,
    LossConfig,
    calibrated_loss,
    logits_of,
)
from statewise.tasks.classify_wide import fit_scores
from statewise.training.config import TrainConfig
from statewise.training.plan import Kind, Settings, seeded, widened

SHARES = tuple(step / 20 for step in range(21))  # that runs of tokens may have
_SAMPLES = 2  # rows whose answers go into the bundle
_SAMPLE_STEPS = 32  # of a live session


class ClassifyPlan:
    """One fit of a classifier. Raises DataError for rows that do not fit, ConfigError."""

    def __init__(self, task: Classify, data: Any, settings: Settings) -> None:
        if settings.train.chunk_length is not None:
            remedy = "leave chunk_length out (max_length cuts long ones)"
            raise ConfigError(f"chunk_length: a classifier learns from whole sequences: {remedy}.")
        self.task, self.settings = task, settings
        self.rows, self.held_out = _parts(task, data, settings)
        self.codec = widened(task.codec(self.rows), settings)
        self.training = _examples(self.codec, self.rows)
        self.validation = _examples(self.codec, self.held_out)
        weights = task.weights(self.codec.labels)
        self.loss = LossConfig(weights, task.label_smoothing, task.focal, task.multi_label)
        self.networks = seeded(settings, self._network)
        self.wide = self._wide()

    def problems(self) -> Iterator[ClassifyProblem]:
        """One per member."""
        batch = BatchConfig(self.settings.train.batch_size, self.settings.train.batch_tokens)
        for network in self.networks:
            yield ClassifyProblem(network, self.training, self.validation, batch, self.loss)

    def model(self, outcome: Mapping[str, Any]) -> ClassifyModel:
        """The model, calibrated and with its threshold, both from the held-out rows."""
        network = classifier(self.networks, self.task.multi_label, self.wide).eval()
        calibration: dict[str, Any] = {}
        codec = self.codec
        if len(self.held_out):
            shared = _shared(network, self.validation) if self.wide is not None else {}
            logits = logits_of(network, self.validation.arrays)
            calibration, made = _calibrated(logits, self.validation.target)
            network.mixture.temperature.fill_(calibration["temperature"])
            codec, reached = _decided(self.task, codec, made, self.validation.target)
            calibration |= shared | reached
        model = ClassifyModel(
            # Of the vectors' file the name alone: where it lay is nobody's business once it was read.
            task=replace(self.task, vectors=Path(self.task.vectors).name),
            backbone=self.settings.backbone,
            codec=codec,
            network=network,
            training={**outcome, "calibration": calibration},
            members=self.settings.members,
        )
        return model.with_samples(_samples(self.task, codec, self.rows, isinstance(network, LiveClassifier)))

    def _network(self) -> CausalClassifier | WholeClassifier:
        made = self.task.network(self.codec, self.settings.backbone)
        self.task.start(made, self.codec)
        return made

    def _wide(self) -> NGramScores | None:
        wide, runs = self.task.wide(self.codec), self.codec.runs
        if wide is not None and runs is not None:
            fit_scores(wide, runs, [ids for ids, *_ in self.training.arrays], self.training.target, self.loss)
        return wide

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, labels, and how many sequences were longer than what is read of them."""
        counts = zip(self.codec.labels.names, self.codec.labels.counts, strict=True)
        return {
            "rows": len(self.rows),
            "validation_rows": len(self.held_out),
            "labels": {str(name): count for name, count in counts},
            "cut": self.codec.reader.cut(self.codec.reader.read(self.rows)),
        }


def _parts(task: Classify, data: Any, settings: Settings) -> tuple[Records, Records]:
    """Training rows and held-out rows: those given, or a share drawn label by label."""
    rows = task.rows(data)
    if settings.share is None:
        return rows, task.rows(settings.validation, "validation")
    if not settings.share:
        return rows, rows.take([])
    held = _drawn(rows[task.label], settings.share, settings.train.seed)
    return rows.take(np.flatnonzero(~held)), rows.take(np.flatnonzero(held))


def _drawn(labels: list[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: of each label (or set of labels) its share, but never all of them."""
    held = np.zeros(len(labels), dtype=bool)
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(repr(label), []).append(row)
    for members in groups.values():
        wanted = share * len(members)
        # The fraction is drawn, so that labels of few rows add up to their share.
        count = int(wanted) + int(rng.random() < wanted % 1)
        held[rng.permutation(members)[: min(count, len(members) - 1)]] = True
    return held


def _examples(codec: ClassifyCodec, rows: Records) -> Examples:
    return Examples(codec.encode(rows), codec.target(rows))


def _shared(network: Classifier, held_out: Examples) -> dict[str, Any]:
    """Let runs of tokens count as much as the held-out rows' log loss asks for; gives a record of it."""
    alone = []
    for share in (0.0, 1.0):
        network.mixture.share.fill_(share)
        alone.append(logits_of(network, held_out.arrays))
    networks, runs = alone
    loss = {s: calibrated_loss((1.0 - s) * networks + s * runs, held_out.target) for s in SHARES}
    best = min(loss, key=loss.__getitem__)
    network.mixture.share.fill_(best)
    return {"n_gram_share": best, "log_loss_networks": loss[0.0], "log_loss_n_grams": loss[1.0]}


def _calibrated(
    logits: NDArray[np.float64], target: NDArray[Any]
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """The temperature, log loss and calibration error before and after it, and the probabilities after."""
    one = target.ndim == 1
    found = temperature(logits, target) if one else label_temperature(logits, target)
    squash, loss = (softmax, log_loss) if one else (sigmoid, binary_log_loss)
    record: dict[str, Any] = {"temperature": found}
    made = squash(logits)
    for when, scale in (("before", 1.0), ("after", found)):
        made = squash(logits / scale)
        right, sure = judged(made, target)
        record[f"ece_{when}"] = expected_calibration_error(right, sure)
        record[f"log_loss_{when}"] = loss(target, made)
    return record, made


def judged(made: NDArray[np.float64], target: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Of each answer whether it is right and how sure it is: of the likeliest class, or of every label."""
    if target.ndim == 1:
        return made.argmax(axis=1) == target, made.max(axis=1)
    return ((made >= 0.5) == (target > 0.5)).ravel(), np.maximum(made, 1 - made).ravel()


def _decided(
    task: Classify, codec: ClassifyCodec, made: NDArray[np.float64], target: NDArray[Any]
) -> tuple[ClassifyCodec, dict[str, Any]]:
    """The codec with the thresholds that the wanted precision asks for, and what they reach."""
    if not task.precision:
        return codec, {}
    if task.multi_label:
        found = [sure_enough(target[:, k] > 0.5, made[:, k], task.precision) for k in range(made.shape[1])]
    else:
        positive = codec.decision.positive or 0
        found = [sure_enough(target == positive, made[:, positive], task.precision)]
    thresholds = tuple(threshold for threshold, _ in found)
    record = {"thresholds": list(thresholds), "precision": [reached for _, reached in found]}
    return replace(codec, decision=replace(codec.decision, thresholds=thresholds)), record


def _samples(task: Classify, codec: ClassifyCodec, rows: Records, live: bool) -> list[Any]:
    """Items of one live session, or rows to predict."""
    if not live:
        few = rows.take(range(min(_SAMPLES, len(rows))))
        return [{name: few[name][row] for name in task.inputs} for row in range(len(few))]
    first = codec.reader.read(rows)[0]
    if isinstance(first, str):
        return codec.tokens(first)[:_SAMPLE_STEPS]
    return [step.tolist() for step in first[:_SAMPLE_STEPS]]


KIND = Kind(
    ClassifyPlan,
    BackboneConfig("lstm", 200, 1, dropout=0.0, residual=False),
    TrainConfig(
        epochs=8,
        batch_size=32,
        learning_rate=2e-3,
        weight_decay=0.05,
        average=0.99,
        validate_every=50,
        patience=10,
    ),
)
