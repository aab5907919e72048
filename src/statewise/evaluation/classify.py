"""Scores of a classifier beside the majority and what a linear model or a neighbour can do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import MissingExtraError
from statewise.evaluation.classify_baselines import (
    LARGEST_ALIGNMENT,
    alignment_cells,
    majority,
    naive_bayes_linear,
    nearest_neighbour,
    summary_linear,
)
from statewise.evaluation.score_report import MODEL, Metric, ScoreReport, merged
from statewise.metrics import classification as metrics
from statewise.models.classify import ClassifyModel
from statewise.nn.temperature import sigmoid, softmax
from statewise.rows.classify import ClassifyCodec
from statewise.rows.classify_text import TextReader
from statewise.rows.decision import Decision
from statewise.rows.records import Records
from statewise.rows.text import words
from statewise.rows.text.words import Words
from statewise.tasks.classify_problem import logits_of

Array = NDArray[np.float64]
ONE = (
    Metric("accuracy"),
    Metric("f1_macro"),
    Metric("log_loss", higher_is_better=False),
    Metric("ece", higher_is_better=False),
)
SEVERAL = (Metric("f1_macro"), Metric("f1_micro"), Metric("auc_pr"), *ONE[:1], *ONE[2:])
_MOST_CLASSES = 20  # whose table is shown


@dataclass(frozen=True)
class Judged:
    """Probabilities of rows, what was decided, and what is true."""

    made: Array  # [N, K]
    chosen: NDArray[Any]  # [N], or [N, K]
    target: NDArray[Any]

    @property
    def scores(self) -> dict[str, float]:
        """Every metric by name; `auc_pr` of two classes is that of the second."""
        target, made, labels = self.target, self.made, self.made.shape[1]
        shared = {"accuracy": metrics.accuracy(target, self.chosen)}
        if target.ndim == 2:
            sure = np.maximum(made, 1 - made).ravel()
            right = ((made >= 0.5) == (target > 0.5)).ravel()
            return shared | {
                "f1_macro": metrics.f1_macro(metrics.per_label(target, self.chosen)),
                "f1_micro": metrics.f1_micro(target, self.chosen),
                "auc_pr": metrics.auc_pr_macro(target, made),
                "log_loss": metrics.binary_log_loss(target, made),
                "ece": metrics.expected_calibration_error(right, sure),
            }
        right, table = made.argmax(axis=1) == target, metrics.confusion(target, self.chosen, labels)
        found = shared | {
            "f1_macro": metrics.f1_macro(metrics.per_class(table)),
            "log_loss": metrics.log_loss(target, made),
            "ece": metrics.expected_calibration_error(right, made.max(axis=1)),
        }
        return found | ({"auc_pr": metrics.auc_pr(target == 1, made[:, 1])} if labels == 2 else {})


@dataclass(frozen=True)
class Details:
    """Precision, recall and F1 of each label, and for classes the confusion table (actual by predicted)."""

    labels: tuple[str, ...]
    each: metrics.PerClass
    confusion: NDArray[np.int64] | None

    def __str__(self) -> str:
        """A line per label; the columns after the four scores are the predicted classes, in that order."""
        width = max(len("label"), *map(len, self.labels))
        head = f"{'label':{width}}  precision  recall     f1   rows"
        lines = [head if self.confusion is None else f"{head}   predicted as"]
        for k, name in enumerate(self.labels):
            scores = f"{self.each.precision[k]:9.3f}  {self.each.recall[k]:6.3f}  {self.each.f1[k]:5.3f}"
            counts = "" if self.confusion is None else "   " + " ".join(f"{n:5d}" for n in self.confusion[k])
            lines.append(f"{name:{width}}  {scores}  {self.each.support[k]:5d}{counts}")
        return "\n".join(lines)


def evaluate_classifier(models: Sequence[ClassifyModel], data: Any, train: Any = None) -> ScoreReport:
    """Scores on the rows of `data`; see `sw.evaluate`."""
    model = models[0]
    rows = model.task.rows(data)
    judged = [_judged(each, rows) for each in models]
    known = None if train is None else model.task.rows(train, "train")
    systems, notes = _baselines(model.codec, rows, known)
    found = {name: Judged(made, _choose(model, made), judged[0].target) for name, made in systems.items()}
    binary = len(model.codec.labels) == 2 and not model.task.multi_label
    columns = SEVERAL if model.task.multi_label else (*ONE, Metric("auc_pr")) if binary else ONE
    return ScoreReport(
        model.kind,
        len(rows),
        columns,
        {
            **{name: merged([each.scores]) for name, each in found.items()},
            MODEL: merged([each.scores for each in judged]),
        },
        (*notes, *_notes(models, rows, judged)),
    )


def details(model: ClassifyModel, data: Any) -> Details:
    """The scores of each label on the rows of `data`, and the confusion table."""
    return _details(model.codec, _judged(model, model.task.rows(data)))


def _judged(model: ClassifyModel, rows: Records) -> Judged:
    made = model.probabilities_of(rows)
    return Judged(made, model.codec.decision.choose(made), model.codec.target(rows))


def _choose(model: ClassifyModel, made: Array) -> NDArray[Any]:
    """A baseline decides as it would alone: the model's thresholds and costs are not fitted to it."""
    return Decision(model.task.multi_label).choose(made)


def _baselines(
    codec: ClassifyCodec, rows: Records, known: Records | None
) -> tuple[dict[str, Array], list[str]]:
    """Probabilities by baseline, and what could not be had."""
    labels, reader = len(codec.labels), codec.reader
    if known is None:
        # Only the codec's counts are at hand; of several labels these do not say how many rows there were.
        if codec.decision.multi_label:
            return {}, []
        share = np.array(codec.labels.counts) / sum(codec.labels.counts)
        return {"majority": np.tile(share, (len(rows), 1))}, []
    target = codec.target(known)
    systems, notes = {"majority": majority(target, len(rows), labels)}, []
    able: dict[str, Callable[[], Array]] = {}
    if isinstance(reader, TextReader):
        split = _splitter(reader)
        seen, asked = ([split(text) for text in reader.read(part)] for part in (known, rows))
        able["naive Bayes linear"] = lambda: naive_bayes_linear(seen, target, asked, labels)
    else:
        lines, others = ([reader.encode(x)[0] for x in reader.read(part)] for part in (known, rows))
        able["linear on summaries"] = lambda: summary_linear(lines, target, others, labels)
        if (cells := alignment_cells(lines, others)) <= LARGEST_ALIGNMENT:
            able["1-NN DTW"] = lambda: nearest_neighbour(lines, target, others, labels)
        else:
            notes.append(f"1-NN DTW is left out: it would fill {cells:.0e} cells.")
    for name, make in able.items():
        try:
            systems[name] = make()
        except MissingExtraError as error:
            notes.append(str(error))
    return systems, notes


def _splitter(reader: TextReader) -> Callable[[str], list[str]]:
    """Texts to words: the model's own where it reads words."""
    return reader.tokenizer.tokens if isinstance(reader.tokenizer, Words) else words.split


def _notes(models: Sequence[ClassifyModel], rows: Records, judged: Sequence[Judged]) -> list[str]:
    """Members, calibration, what was cut, and the table of classes, of these rows."""
    model, reader = models[0], models[0].codec.reader
    notes = [_calibration(models, rows, judged)]
    if model.members > 1:
        notes.append(_alone(models, rows, judged[0].target))
    if longer := reader.cut(reader.read(rows)):
        what = f"{longer:,} of {len(rows):,} sequences are longer than {reader.max_length} steps"
        notes.append(f"{what}: of these the {reader.keep.replace('_', ' and ')} is read.")
    if len(model.codec.labels) <= _MOST_CLASSES:
        notes.append(str(_details(model.codec, judged[0])))
    return notes


def _calibration(models: Sequence[ClassifyModel], rows: Records, judged: Sequence[Judged]) -> str:
    """The calibration error of these rows without the temperature and with it."""
    before = []
    for model, after in zip(models, judged, strict=True):
        logits = logits_of(model.classifier, model.codec.encode(rows))
        made = (sigmoid if model.task.multi_label else softmax)(logits)
        before.append(Judged(made, after.chosen, after.target).scores["ece"])
    reached = statistics.fmean(each.scores["ece"] for each in judged)
    heat = statistics.fmean(float(model.classifier.mixture.temperature) for model in models)
    return f"Calibration: ECE {statistics.fmean(before):.3f} before, {reached:.3f} at temperature {heat:.2f}."


def _alone(models: Sequence[ClassifyModel], rows: Records, target: NDArray[Any]) -> str:
    """Accuracy of single members."""
    right = []
    for model in models:
        arrays = model.codec.encode(rows)
        for member in model.classifier.networks:
            logits = logits_of(member, arrays)
            made = sigmoid(logits) if model.task.multi_label else softmax(logits)
            right.append(metrics.accuracy(target, Decision(model.task.multi_label).choose(made)))
    spread = statistics.stdev(right)
    return (
        f"The model averages {models[0].members} networks; one alone: accuracy "
        f"{statistics.fmean(right):.3f} ± {spread:.3f}."
    )


def _details(codec: ClassifyCodec, judged: Judged) -> Details:
    names = tuple(map(str, codec.labels.names))
    if judged.target.ndim == 2:
        return Details(names, metrics.per_label(judged.target, judged.chosen), None)
    table = metrics.confusion(judged.target, judged.chosen, len(names))
    return Details(names, metrics.per_class(table), table)
