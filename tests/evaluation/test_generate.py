"""Scores of language models beside their baselines."""

from __future__ import annotations

import numpy as np
import pytest
from generate_rows import log, text

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.evaluation import generate
from statewise.evaluation.ngram import NGram

QUICK = sw.TrainConfig(steps=80, batch_size=8, chunk_length=24, learning_rate=2e-2, average=0.9)


def fitted(task: sw.Generate, data: dict, seed: int = 0) -> sw.GenerateModel:
    train = sw.TrainConfig(**{**QUICK.__dict__, "seed": seed})
    return sw.fit(
        task, data, hidden_size=24, num_layers=1, dropout=0.0, train=train, validation=0, progress=False
    )


def test_text_beside_n_grams_with_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "TYPED", 80)
    task, data, test = sw.Generate(), {"text": [text()]}, {"text": [text(12, seed=1)]}
    models = [fitted(task, data, seed) for seed in (0, 1)]
    report = sw.evaluate(models, test, train=data)
    assert set(report.systems) == {"model", "most frequent", "6-grams"}
    assert report.value("perplexity") == pytest.approx(
        np.mean([m.perplexity(test) for m in models]), rel=1e-4
    )
    assert report.value("bits") == pytest.approx(np.mean([m.bits(test) for m in models]), rel=1e-4)
    ngram = NGram([models[0].codec.encode(data["text"][0])], models[0].codec.size, 6)
    nats = ngram.nats([models[0].codec.encode(test["text"][0])])
    assert report.value("perplexity", "6-grams") == pytest.approx(np.exp(nats.mean()))
    assert report.value("keys saved") > 0.2
    assert report.value("hit@5") > report.value("hit@1") > report.value("hit@1", "most frequent")
    assert "bits are per character" in str(report)


def test_events_beside_the_most_frequent() -> None:
    model = fitted(sw.Generate(items="played", by="who"), log())
    report = sw.evaluate(model, log(10, seed=1), train=log())
    assert "keys saved" not in report.systems["model"]
    assert report.value("hit@1") > 0.7 > report.value("hit@1", "most frequent")
    assert "bits are per event" in str(report)
    assert set(sw.evaluate(model, log(10, seed=1)).systems) == {"model"}


def test_models_of_other_vocabularies_do_not_mix() -> None:
    one, other = fitted(sw.Generate(), {"text": ["ab" * 50]}), fitted(sw.Generate(), {"text": ["abc" * 50]})
    with pytest.raises(
        ConfigError, match=r"^evaluate: got models of different vocabularies, want seeds of on"
    ):
        sw.evaluate([one, other], {"text": ["abab"]})
