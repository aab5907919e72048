"""What the tagging benchmarks share: members trained from seeds of their own, each alone and all together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recording import CACHE
from statewise.metrics.classification import expected_calibration_error
from statewise.metrics.tagging import SpanScore, scores_of, token_accuracy
from statewise.models.tag import TagModel
from statewise.nn.backbone import BackboneConfig
from statewise.rows.text.platt import AS_THEY_ARE
from statewise.rows.text.spans import spans
from statewise.tasks.tag import Tag, pooled
from statewise.tasks.tag_calibration import calibrated
from statewise.tasks.tagging import Wanted
from statewise.training.config import TrainConfig
from statewise.training.fit import fit
from statewise.training.plan import Settings
from statewise.training.plans.tag import encoded

Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Study:
    """One way to train; all settings were chosen on the dev sentences."""

    name: str
    what: str
    protocol: str
    task: Mapping[str, Any]
    backbone: Mapping[str, Any]
    train: Mapping[str, Any]
    members: int

    @property
    def settings(self) -> dict[str, Any]:
        """What is trained with, as plain values."""
        return {"task": dict(self.task), "backbone": dict(self.backbone), "train": dict(self.train)}


def trained(
    name: str,
    task: Tag,
    data: Columns,
    held_out: Columns,
    settings: Mapping[str, Any],
    members: int,
    start: TagModel | None = None,
    only: int | None = None,
) -> tuple[TagModel, float]:
    """A model of `members` networks, and the CPU seconds it took; a run that was stopped goes on.

    `start` is the model whose members these start from. With `only`, the number of a member, that one is
    trained, into the run of all: several processes may share the work.
    """
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    train, checkpoint = TrainConfig(**settings["train"]), folder / f"{members}.checkpoint"
    if only is not None:
        train = replace(train, seed=Settings(BackboneConfig(), train, members).seed(only))
        checkpoint = checkpoint.with_name(f"{checkpoint.name}.{only}") if only else checkpoint
        start = None if start is None else one_of(start, only)
    model = fit(
        task,
        dict(data),
        validation=dict(held_out),
        train=train,
        members=members if only is None else 1,
        checkpoint=checkpoint,
        start=start,
        **settings["backbone"],
    )
    assert isinstance(model, TagModel)
    return model, _spent(folder / f"{members}.seconds", time.process_time() - began)


def one_of(model: TagModel, number: int) -> TagModel:
    """A member of a model as a model; after the last member comes the first."""
    part = model.tagger.parts[number % len(model.tagger.parts)]
    return replace(model, network=pooled([part]).eval(), members=1)


def _spent(path: Path, seconds: float) -> float:
    """CPU seconds of all calls so far that ran to their end."""
    before = float(path.read_text()) if path.is_file() else 0.0
    path.write_text(f"{before + seconds:.1f}")
    return before + seconds


def alone(model: TagModel, held_out: Columns) -> list[TagModel]:
    """Each member as a model of its own, calibrated by itself."""
    rows = encoded(model.codec, model.task.rows(dict(held_out)))
    made = []
    for member in model.tagger.parts:
        network = pooled([member]).eval()
        codec, record = calibrated(network, replace(model.codec, threshold=0.0), rows)
        training = {**model.training, "calibration": record}
        made.append(replace(model, network=network, codec=codec, members=1, training=training))
    # Several pools share the members' weights, but each has its own temperature.
    return made


def figures(model: TagModel, data: Columns, *, threshold: float | None = None) -> dict[str, float]:
    """Scores of one model, and its calibration error before and after temperature and correction of spans."""
    rows = model.task.rows(dict(data))
    least = model.codec.threshold if threshold is None else threshold
    fitted = float(model.tagger.temperature)
    found: dict[str, float] = {"temperature": fitted, "threshold": least}
    raw = replace(model, codec=replace(model.codec, platt=AS_THEY_ARE))
    for when, temperature, asked in (("before", 1.0, raw), ("after", fitted, model)):
        model.tagger.temperature.fill_(temperature)
        answers = asked.tagged(rows, Wanted(threshold=least))
        found |= {f"{key}_{when}": value for key, value in _calibration(asked, rows, answers).items()}
    labels = [list(row) for row in rows[model.codec.label]]
    found["accuracy"] = token_accuracy(labels, [answer.labels for answer in answers])
    if model.codec.learned != "none":
        wanted = [spans(row) for row in labels]
        score = scores_of(wanted, [[each.span for each in answer.spans] for answer in answers]).overall
        found |= _named(score)
    return found


def _named(score: SpanScore) -> dict[str, float]:
    return {"f1": score.f1, "precision": score.precision, "recall": score.recall}


def _calibration(model: TagModel, rows: Any, answers: Sequence[Any]) -> dict[str, float]:
    """ECE of the likeliest label of every token, and of every answered span."""
    names, labels = model.labels, rows[model.codec.label]
    right = np.concatenate(
        [
            np.array([names[k] == label for k, label in zip(a.probabilities.argmax(1), row, strict=True)])
            for a, row in zip(answers, labels, strict=True)
        ]
    )
    sure = np.concatenate([a.probabilities.max(1) for a in answers])
    found = {"ece": expected_calibration_error(right, sure)}
    if model.codec.learned == "none":
        return found
    pairs = [
        (each.span in set(spans(row)), each.probability)
        for a, row in zip(answers, labels, strict=True)
        for each in a.spans
    ]
    correct, confidence = zip(*pairs, strict=True) if pairs else ((), ())
    found["span_ece"] = expected_calibration_error(np.array(correct), np.array(confidence))
    return found
