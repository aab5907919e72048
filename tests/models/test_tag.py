"""A trained tagger: answers that agree with each other, live sessions, bundles."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tag_models import trained_tagger
from tag_rows import tag_rows

import statewise as sw
from statewise.core.errors import BundleError, ConfigError, DataError, StreamError
from statewise.models.loading import load
from statewise.models.tag import TagModel, from_bundle
from statewise.rows.text.spans import Span, spans
from statewise.tasks.tagging import Wanted, candidates

SENTENCE = ["send", "pie", "to", "Clara", "Berg", "in", "New", "Haven"]
LABELS = ["O", "O", "O", "B-person", "I-person", "O", "B-place", "I-place"]


@pytest.fixture(scope="module")
def model() -> TagModel:
    return trained_tagger()


def test_labels_and_spans_of_a_list(model: TagModel) -> None:
    (answer,) = model.predict([SENTENCE])
    assert answer["labels"] == LABELS
    assert [(s["start"], s["stop"], s["type"], s["text"]) for s in answer["spans"]] == [
        (3, 5, "person", "Clara Berg"),
        (6, 8, "place", "New Haven"),
    ]
    assert all(0.5 < s["confidence"] <= 1.0 for s in answer["spans"])
    assert len(answer["confidence"]) == len(SENTENCE)
    assert set(answer) == {"labels", "confidence", "spans"}


def test_texts_and_mappings_are_sentences_too(model: TagModel) -> None:
    text = " ".join(SENTENCE)
    assert model.predict([text]) == model.predict([SENTENCE]) == model.predict([{"tokens": SENTENCE}])


def test_answers_do_not_depend_on_the_batch(model: TagModel) -> None:
    together = model.predict(["send pie", SENTENCE, "please"], threshold=0.0)
    for sentence, answer in zip(["send pie", SENTENCE, "please"], together, strict=True):
        (alone,) = model.predict([sentence], threshold=0.0)
        assert alone["labels"] == answer["labels"]
        np.testing.assert_allclose(alone["confidence"], answer["confidence"], atol=1e-6)


def test_marginals_are_distributions_and_hold_the_confidence(model: TagModel) -> None:
    (answer,) = model.predict([SENTENCE], marginals=True)
    assert list(answer["marginals"][0]) == model.labels == ["O", "B-person", "I-person", "B-place", "I-place"]
    for label, confidence, row in zip(
        answer["labels"], answer["confidence"], answer["marginals"], strict=True
    ):
        assert sum(row.values()) == pytest.approx(1.0, abs=1e-5)
        assert row[label] == pytest.approx(confidence)
    assert answer["marginals"][0]["I-person"] == 0.0  # illegal at the start


def test_the_n_best_sequences(model: TagModel) -> None:
    (answer,) = model.predict([SENTENCE], n_best=3, threshold=0.0)
    best = answer["n_best"]
    assert best[0]["labels"] == answer["labels"]
    chances = [each["probability"] for each in best]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) <= 1.0 + 1e-6
    assert len({tuple(each["labels"]) for each in best}) == 3
    (two,) = model.predict(["send"], n_best=500)
    assert len(two["n_best"]) == 3  # O, or one of two types: no more is legal
    assert sum(each["probability"] for each in two["n_best"]) == pytest.approx(1.0, abs=1e-5)


def test_a_lower_threshold_finds_more_spans(model: TagModel) -> None:
    odd = ["pie to Berlin for Zoe"]
    few = model.predict(odd, threshold=0.9)[0]["spans"]
    many = model.predict(odd, threshold=0.01)[0]["spans"]
    assert len(few) < len(many)
    assert all(span["confidence"] >= 0.01 for span in many)
    assert all(a["stop"] <= b["start"] for a, b in itertools.pairwise(many))
    labels = model.predict(odd, threshold=0.01)[0]["labels"]
    assert [Span(s["start"], s["stop"], s["type"]) for s in many] == spans(labels)


def test_confidence_of_the_best_path_is_that_of_its_spans(model: TagModel) -> None:
    rows = model.task.rows([SENTENCE], labelled=False)
    (answer,) = model.tagged(rows, Wanted(threshold=0.0))
    (likely,) = candidates(model.tagger, model.codec, model.codec.encode([SENTENCE]))
    known = {span: model.codec.platt.after(probability) for span, probability in likely}
    assert [known[each.span] for each in answer.spans] == [each.probability for each in answer.spans]


@pytest.mark.parametrize("library", [pl, pd])
def test_a_frame_gives_a_frame_of_its_library(model: TagModel, library: Any) -> None:
    frame = library.DataFrame({"tokens": [SENTENCE, ["send", "pie"]]})
    found = model.predict(frame, n_best=1)
    assert isinstance(found, library.DataFrame)
    assert list(found.columns) == ["tokens", "labels", "confidence", "spans", "n_best"]
    assert list(found["labels"][0]) == LABELS


def test_rows_and_settings_that_do_not_fit(model: TagModel) -> None:
    with pytest.raises(DataError) as error:
        model.predict([[]])
    assert str(error.value) == "tokens: no tokens (row 0)."
    with pytest.raises(ConfigError) as config_error:
        model.predict([SENTENCE], threshold=1.0)
    assert str(config_error.value) == "threshold: got 1.0, want a probability from 0 to below 1."


def test_a_tagger_of_both_ends_refuses_to_stream(model: TagModel) -> None:
    assert not model.streams_live
    with pytest.raises(ConfigError) as error:
        model.stream()
    assert str(error.value) == (
        "tag: the model reads the future: it cannot stream; train with bidirectional=False."
    )


@pytest.mark.parametrize("members", [1, 2])
def test_a_causal_one_gives_the_label_so_far(members: int) -> None:
    import torch

    model = trained_tagger(bidirectional=False, members=members)
    stream = model.stream(engine="torch")
    events = [stream.update(word).plain() for word in SENTENCE]
    assert [event["label"] for event in events][:3] == ["O", "O", "O"]
    with torch.no_grad():
        whole, _ = model.live(torch.from_numpy(model.codec.encode([SENTENCE])[0])[None])
    for event, row in zip(events, whole[0], strict=True):
        want = model.codec.decode_output(row.numpy())
        assert event["label"] == want["label"]
        assert event["probability"] == pytest.approx(want["probability"], abs=1e-5)
    snapshot = stream.snapshot()
    again = model.restore(snapshot, engine="torch")
    assert again.update("now").plain() == stream.update("now").plain()


@pytest.mark.slow
def test_the_exported_step_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model = trained_tagger(bidirectional=False)
    again = load(model.save(tmp_path / "tagger.sw", onnx=True))
    one, two = model.stream(engine="torch"), again.stream(engine="onnx")
    for word in SENTENCE:
        got, want = two.update(word).plain(), one.update(word).plain()
        assert got["label"] == want["label"]
        assert got["probability"] == pytest.approx(want["probability"], abs=1e-5)


def test_what_is_no_word_leaves_the_stream_as_it_was() -> None:
    stream = trained_tagger(bidirectional=False).stream(engine="torch")
    stream.update("send")
    before = stream.snapshot()
    with pytest.raises(StreamError):
        stream.update("")
    assert stream.snapshot() == before


@pytest.mark.parametrize("bidirectional", [True, False])
def test_saved_and_loaded_it_says_the_same(bidirectional: bool, tmp_path: Path) -> None:
    model = trained_tagger(bidirectional=bidirectional)
    again = load(model.save(tmp_path / "tagger.sw", onnx=False))
    assert isinstance(again, TagModel)
    assert again.codec == model.codec
    assert again.predict([SENTENCE], n_best=2) == model.predict([SENTENCE], n_best=2)
    assert again.samples == model.samples


@pytest.mark.parametrize("bidirectional", [True, False])
def test_features_that_the_rows_bring_along(bidirectional: bool, tmp_path: Path) -> None:
    from tag_models import SMALL, TRAIN

    from statewise.tasks.tag import Tag
    from statewise.training.fit import fit

    rows = tag_rows(12)
    rows["known"] = [["no" if label == "O" else "yes" for label in labels] for labels in rows["labels"]]
    task = Tag(features=("known",), bidirectional=bidirectional, **SMALL)
    model = fit(task, rows, hidden_size=4, train=TRAIN, progress=False)
    again = load(model.save(tmp_path / "tagger.sw", onnx=False))
    plain = {name: rows[name][:2] for name in ("tokens", "known")}
    assert again.predict(plain).equals(model.predict(plain))
    with pytest.raises(DataError, match="known"):
        model.predict([SENTENCE])
    if not bidirectional:
        event = again.stream(engine="torch").update({"tokens": "Ann", "known": "yes"})
        assert event.plain()["label"] in again.labels


def test_a_bundle_without_a_task(model: TagModel) -> None:
    from dataclasses import replace

    broken = replace(model.bundle, config={**model.bundle.config, "task": {"tokns": "a"}})
    with pytest.raises(BundleError) as error:
        from_bundle(broken)
    assert str(error.value) == "bundle: config: bundle: task: no such setting 'tokns'. Did you mean 'tokens'?"


def test_it_learned_what_the_rows_say(model: TagModel) -> None:
    rows = tag_rows(20, seed=2)
    found = [answer["labels"] for answer in model.predict(rows["tokens"])]
    right = [a == b for x, y in zip(found, rows["labels"], strict=True) for a, b in zip(x, y, strict=True)]
    assert np.mean(right) > 0.97


@pytest.mark.parametrize(("scheme", "given"), [("bio", "bio"), ("bio", "bioes"), ("bioes", "bioes")])
def test_answers_are_in_the_scheme_of_the_rows(scheme: str, given: str) -> None:
    from tag_models import SMALL, TRAIN

    from statewise.rows.text.spans import to_bioes
    from statewise.tasks.tag import Tag
    from statewise.training.fit import fit

    rows = tag_rows(80)
    if given == "bioes":
        rows["labels"] = [to_bioes(labels) for labels in rows["labels"]]
    model = fit(Tag(scheme=scheme, **SMALL), rows, hidden_size=16, train=TRAIN, progress=False)
    assert isinstance(model, TagModel)
    assert (model.codec.learned, model.codec.given) == (scheme, given)
    for threshold in (0.0, 0.3):
        (answer,) = model.predict([SENTENCE], threshold=threshold, marginals=True)
        assert answer["labels"] == (to_bioes(LABELS) if given == "bioes" else LABELS)
        assert min(answer["confidence"]) > 0.2
        assert [(span["start"], span["stop"]) for span in answer["spans"]] == [(3, 5), (6, 8)]


def test_held_out_rows_of_their_own_are_named_in_errors() -> None:
    ragged = {"tokens": [["a", "b"]], "labels": [["O"]]}
    with pytest.raises(DataError, match=r"^tag: 1 label for 2 tokens \(validation, row 0\)\.$"):
        sw.fit(sw.Tag(), {"tokens": [["a", "b"]] * 4, "labels": [["O", "X"]] * 4}, validation=ragged)
