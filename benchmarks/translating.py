"""What the translation benchmarks share: a model trained once and kept, and its scores by sacreBLEU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.recording import CACHE
from statewise.metrics.translation import bleu, chrf
from statewise.models.loading import load
from statewise.models.translate import TranslateModel
from statewise.tasks.translate import Translate
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

Columns = Mapping[str, list[Any]]


def trained(name: str, settings: Mapping[str, Any], train: Columns, held_out: Columns) -> TranslateModel:
    """The model of `settings`, from its bundle where it was trained before; a run that was stopped goes on.

    Its record of training holds the CPU seconds of all calls.
    """
    folder = CACHE / "translate"
    folder.mkdir(parents=True, exist_ok=True)
    bundle, seconds = folder / f"{name}.sw", folder / f"{name}.seconds"
    if not bundle.is_file():
        began = time.process_time()
        try:
            model = fit(
                Translate(**settings["task"]),
                dict(train),
                validation=dict(held_out),
                train=TrainConfig(**settings["train"]),
                checkpoint=folder / f"{name}.checkpoint",
                **settings["backbone"],
            )
        finally:
            before = float(seconds.read_text()) if seconds.is_file() else 0.0
            seconds.write_text(f"{before + time.process_time() - began:.1f}")
        model.save(bundle)
    found = load(bundle)
    assert isinstance(found, TranslateModel)
    return found


def is_trained(name: str) -> bool:
    """Whether a model's training has come to its end."""
    return (CACHE / "translate" / f"{name}.sw").is_file()


def cpu_minutes(name: str) -> float:
    """CPU minutes that training took, all calls counted."""
    return float((CACHE / "translate" / f"{name}.seconds").read_text()) / 60


def figures(model: TranslateModel, data: Columns, tokenize: tuple[str, ...], **search: Any) -> dict[str, Any]:
    """BLEU by each tokenisation and chrF of a model's translations, with their signatures."""
    source, target = model.task.source, model.task.target
    began = time.process_time()
    answers = model.predict({source: data[source]}, **search)
    seconds = time.process_time() - began
    hypotheses, references = list(answers[target]), list(data[target])
    lower = model.task.lowercase
    found: dict[str, Any] = {"cpu_seconds": seconds, "sentences": len(references)}
    for name in tokenize:
        score = bleu(hypotheses, references, lowercase=lower, tokenize=name)
        found |= {f"bleu_{name}": score.score, f"signature_{name}": score.signature}
    letters = chrf(hypotheses, references, lowercase=lower)
    return {**found, "chrf": letters.score, "signature_chrf": letters.signature}
