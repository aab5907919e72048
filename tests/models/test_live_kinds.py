"""The law of live sessions, for every kind that streams and every engine that takes its step."""

from __future__ import annotations

from typing import Any

import pytest

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.core.native import extension
from statewise.models.model import Model
from statewise.testing import check_stream

TRAIN = sw.TrainConfig(epochs=1, batch_size=4, validate_every=0)
SENTENCES = ["the cat sat on a mat", "a dog ran far away", "the dog saw the cat", "a cat ran"]
REVIEWS = [{"text": text, "label": "ab"[len(text) % 2]} for text in SENTENCES]
TAGGED = [{"tokens": text.split(), "labels": [word[0] for word in text.split()]} for text in SENTENCES]
CURVES = [{"x": [[float(i), 0.5], [1.0, -float(i)], [0.0, 2.0]], "label": "ab"[i % 2]} for i in range(4)]
UNSEEN = "a zebra sat away"

native = pytest.mark.skipif(
    extension() is None or not hasattr(extension(), "Steps"), reason="the compiled kernels are not there"
)
ENGINES = ["torch", pytest.param("native", marks=native)]


def fitted(task: Any, rows: Any, **options: Any) -> Model:
    settings = {"hidden_size": 8, "num_layers": 1, "validation": 0.0, "train": TRAIN} | options
    return sw.fit(task, rows, progress=False, **settings)


def classify(**options: Any) -> Any:
    return sw.Classify(bidirectional=False, embedding_size=8, subwords=50, **options)


def tag(**options: Any) -> Any:
    return sw.Tag(bidirectional=False, word_size=8, feature_size=4, filters=4, **options)


CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "words, max, mean and attention": (classify(), REVIEWS, [*SENTENCES, UNSEEN], {}),
    "words, the last": (classify(pooling=("last",)), REVIEWS, [*SENTENCES, UNSEEN], {"cell": "gru"}),
    "numbers": (
        sw.Classify(values=("x",), bidirectional=False),
        CURVES,
        [row["x"] for row in CURVES],
        {"cell": "lstm mingru", "num_layers": 2},
    ),
    "tags": (tag(), TAGGED, [*SENTENCES, UNSEEN], {}),
    "two taggers": (tag(crf=False), TAGGED, SENTENCES, {"members": 2}),
    "characters": (sw.Generate(), {"text": SENTENCES}, {"text": [UNSEEN, "é"]}, {}),
    "a text of words": (
        sw.Generate(tokenizer="words", tied=False),
        {"text": SENTENCES},
        {"text": [*SENTENCES, UNSEEN]},
        {"cell": "lstm"},
    ),
    "events": (sw.Generate(items="tokens"), TAGGED, TAGGED, {"cell": "slstm"}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Model, Any]:
    task, rows, live, options = CASES[request.param]
    return fitted(task, rows, **options), live


@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_keep_the_law(case: tuple[Model, Any], engine: Any) -> None:
    model, rows = case
    check_stream(model, rows, engine=engine, rows=12, tolerance=1e-4)


def test_a_bundle_replays_its_session(case: tuple[Model, Any], tmp_path: Any) -> None:
    model, _ = case
    again = sw.load(model.save(tmp_path / "m.sw", onnx=False))
    assert again.samples == model.samples
    assert any(sample["answer"] is not None for sample in again.samples)


@native
def test_without_a_native_form_auto_takes_another_engine() -> None:
    model = fitted(tag(letters="recurrence"), TAGGED)
    with pytest.raises(ConfigError, match=r"^native step: .*: use another engine\.$"):
        model.engine("native")
    assert type(model.engine()).__name__ == "TorchEngine"
    check_stream(model, [*SENTENCES, UNSEEN], engine="auto", rows=12)


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (sw.Classify(embedding_size=8, subwords=0), REVIEWS),
        (sw.Tag(word_size=8, filters=0), TAGGED),
        (
            sw.Translate(source="text", target="label", embedding_size=8),
            REVIEWS,
        ),
    ],
)
def test_what_reads_all_first_replays_its_answers(task: Any, rows: Any, tmp_path: Any) -> None:
    model = fitted(task, rows)
    assert not model.streams_live
    with pytest.raises(ConfigError, match="cannot stream"):
        model.stream()
    again = sw.load(model.save(tmp_path / "m.sw"))
    assert len(again.samples) > 0
    assert again.bundle.model_hash == model.bundle.model_hash
