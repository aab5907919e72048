"""Classifiers on one data set: several seeds, members alone and together, beside the baselines."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np

import statewise as sw
from benchmarks.recording import CACHE, Row, arguments, write
from statewise.evaluation.classify import details
from statewise.metrics.classification import accuracy
from statewise.models.classify import ClassifyModel
from statewise.tasks.classify_problem import logits_of

Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Study:
    """One data set and all that was chosen for it; `bar` is a share of rows that are right, in percent."""

    name: str
    what: str
    bar: float
    source: str  # of the bar
    protocol: str
    task: Mapping[str, Any]
    fit: Mapping[str, Any]
    train: Mapping[str, Any]
    members: int = 1
    seeds: tuple[int, ...] = (0, 1, 2)
    more: Mapping[str, Any] = field(default_factory=dict)  # further facts for the JSON

    @property
    def settings(self) -> dict[str, Any]:
        """What was chosen, as one table."""
        return {
            "task": dict(self.task),
            "fit": dict(self.fit),
            "train": dict(self.train),
            "members": self.members,
        }

    def changed(self, changes: Mapping[str, Any]) -> Study:
        """With some settings changed, for trials."""
        parts = {name: {**getattr(self, name), **changes.get(name, {})} for name in ("task", "fit", "train")}
        return replace(self, **parts, members=changes.get("members", self.members))


def fitted(study: Study, train: Columns, validation: Any, seed: int) -> tuple[ClassifyModel, float]:
    """The model of a seed and the processor seconds its training took; a finished one is read from the cache.

    A run that was broken off goes on from its checkpoint; its seconds count from there.
    """
    folder = CACHE / study.name
    folder.mkdir(parents=True, exist_ok=True)
    chosen = sha256(json.dumps(study.settings).encode()).hexdigest()[:8]  # other settings, another file
    name = f"{chosen}-seed{seed}"
    path, seconds = folder / f"{name}.sw", folder / f"{name}.seconds"
    if path.exists() and seconds.exists():
        model = sw.load(path)
        assert isinstance(model, ClassifyModel)
        return model, float(seconds.read_text(encoding="utf-8"))
    model, cpu = trained(study, train, validation, seed, folder / f"{name}.checkpoint")
    model.save(path, onnx=False)
    seconds.write_text(str(cpu), encoding="utf-8")
    return model, cpu


def trained(
    study: Study, train: Columns, validation: Any, seed: int, checkpoint: Any = None
) -> tuple[ClassifyModel, float]:
    """Train the model of a seed; the seconds of processor time it took."""
    began = time.process_time()
    model = sw.fit(
        sw.Classify(**study.task),
        train,
        **study.fit,
        members=study.members,
        train=sw.TrainConfig(**study.train, seed=seed),
        validation=validation,
        progress=False,
        checkpoint=checkpoint,
    )
    assert isinstance(model, ClassifyModel)
    return model, time.process_time() - began


def alone(model: ClassifyModel, data: Columns) -> list[float]:
    """Accuracy of every member by itself."""
    return [_share_right(model, network, data) for network in model.classifier.networks]


def n_grams(models: Sequence[ClassifyModel], data: Columns) -> dict[str, list[float]]:
    """How much the runs of words count in each model, and their accuracy by themselves."""
    beside = [(model, wide) for model in models if (wide := model.classifier.wide) is not None]
    return {
        "share": [float(model.classifier.mixture.share) for model, _ in beside],
        "accuracy": [_share_right(model, wide, data) for model, wide in beside],
    }


def right(model: ClassifyModel, data: Columns) -> float:
    """Accuracy of the model."""
    rows = model.task.rows(data)
    return accuracy(model.codec.target(rows), model.probabilities_of(rows).argmax(axis=1))


def _share_right(model: ClassifyModel, part: Any, data: Columns) -> float:
    rows = model.task.rows(data)
    chosen = logits_of(part, model.codec.encode(rows)).argmax(axis=1)
    return accuracy(model.codec.target(rows), chosen)


def main(study: Study, doc: str | None, train: Columns, validation: Any, test: Columns) -> None:
    """Train all seeds, score them once on the test rows, write the row; --validate looks at no test row."""
    parser = arguments(doc)
    parser.add_argument("--validate", action="store_true", help="one seed, no figure of the test rows")
    parser.add_argument("--settings", default="{}", help="changes as JSON, for trials with --validate")
    options = parser.parse_args()
    if options.quick:
        study = replace(study, train={**study.train, "epochs": 1}, members=1, seeds=study.seeds[:1])
    if options.validate:
        study = study.changed(json.loads(options.settings))
        model, cpu = trained(study, train, validation, study.seeds[0])
        judged = "" if isinstance(validation, float | int) else f"{100 * right(model, validation):.2f} %, "
        calibration = model.training["calibration"]
        print(f"validation {judged}best {model.training.get('best')}, {cpu:.0f} CPU s, {calibration}")
        return
    found = [fitted(study, train, validation, seed) for seed in study.seeds]
    models = [model for model, _ in found]
    report = sw.evaluate(models, test, train=train)
    print(report)
    singles = [share for model in models for share in alone(model, test)]
    row = _row(study, report, singles, [cpu for _, cpu in found])
    further = {"parameters": _parameters(models[0]), "classes": _classes(models[0], test)}
    row = replace(row, figures={**row.figures, "n_grams": n_grams(models, test), **further})
    write(
        f"quality.{study.name}",
        [row],
        study.protocol,
        study.settings,
        options.quick,
        seeds=study.seeds,
        **study.more,
    )


def _row(study: Study, report: Any, singles: Sequence[float], cpu: Sequence[float]) -> Row:
    percent = 100 * report.value("accuracy")
    others = {name: 100 * report.value("accuracy", name) for name in report.systems if name != "model"}
    beside = ", ".join(f"{name} {value:.1f}" for name, value in others.items())
    spread = 100 * report.spread("accuracy")
    of = f"{len(study.seeds)} seeds"
    one = ""
    if study.members > 1:
        of += f" of {study.members} networks averaged"
        one = f"; one network {100 * statistics.fmean(singles):.1f} ± {100 * statistics.stdev(singles):.1f}"
    minutes = statistics.fmean(cpu) / 60
    return Row(
        study.name,
        study.what,
        f"≥ {study.bar} ({study.source})",
        f"{percent:.1f} ± {spread:.1f} % ({of}{one}; {beside}; {minutes:.1f} CPU min a seed)",
        percent >= study.bar,
        {"report": report.to_mapping(), "single_networks": list(singles), "cpu_seconds": list(cpu)},
    )


def _parameters(model: ClassifyModel) -> int:
    """Weights of one member."""
    return sum(weight.numel() for weight in model.classifier.networks[0].parameters())


def _classes(model: ClassifyModel, test: Columns) -> dict[str, Any]:
    found = details(model, test)
    table = np.zeros(0) if found.confusion is None else found.confusion
    return {"labels": list(found.labels), "f1": found.each.f1.tolist(), "confusion": table.tolist()}
