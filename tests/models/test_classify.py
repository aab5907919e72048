"""A classifier fitted on made-up rows: predictions, calibration, decisions, bundles, live labels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from classify_rows import BAD, GOOD, curves, reviews, topics

import statewise as sw
from statewise.core.errors import ConfigError, DataError
from statewise.core.native import extension
from statewise.models.classify import ClassifyModel
from statewise.training.config import TrainConfig

QUICK = TrainConfig(epochs=8, batch_size=16, learning_rate=1e-2, validate_every=20)


def fitted(data: dict, members: int = 1, **settings) -> ClassifyModel:
    task = sw.Classify(**{"subwords": 100, "embedding_size": 16, **settings})
    model = sw.fit(task, data, hidden_size=16, members=members, train=QUICK, progress=False)
    assert isinstance(model, ClassifyModel)
    return model


@pytest.fixture(scope="module")
def whole() -> ClassifyModel:
    return fitted(reviews(300), members=2)


@pytest.fixture(scope="module")
def live() -> ClassifyModel:
    return fitted(reviews(300), bidirectional=False)


def share_right(model: ClassifyModel, data: dict) -> float:
    answers = model.predict(
        [{name: data[name][i] for name in model.task.inputs} for i in range(len(data["label"]))]
    )
    return float(np.mean([a["label"] == label for a, label in zip(answers, data["label"], strict=True)]))


def test_it_learns(whole, live):
    assert share_right(whole, reviews(100, seed=1)) > 0.95
    assert share_right(live, reviews(100, seed=1)) > 0.95


def test_a_list_gives_plain_answers_and_a_frame_a_frame(whole):
    texts = ["a good film", "a dull film"]
    answers = whole.predict(texts)
    assert [answer["label"] for answer in answers] == ["pos", "neg"]
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1.0)
    frame = whole.predict(pl.DataFrame({"text": texts}))
    assert frame.columns == ["label", "probability", "p(neg)", "p(pos)"]
    assert frame["label"].to_list() == ["pos", "neg"]
    np.testing.assert_allclose(frame["p(pos)"], whole.probabilities(texts)[:, 1])


def test_a_pandas_frame_keeps_its_index(whole):
    pd = pytest.importorskip("pandas")
    frame = whole.predict(pd.DataFrame({"text": ["good", "bad"]}, index=[7, 9]))
    assert frame.index.tolist() == [7, 9]


def test_words_never_seen_do_not_crash(whole):
    assert whole.predict(["Zxqv ☃ שלום"])[0]["label"] in ("pos", "neg")


def test_the_record_says_what_was_trained_on_and_how_it_is_calibrated(whole):
    record = whole.training
    assert record["rows"] + record["validation_rows"] == 300
    assert sum(record["labels"].values()) == record["rows"]
    calibration = record["calibration"]
    assert set(calibration) >= {"ece_before", "ece_after", "log_loss_before", "log_loss_after"}
    assert float(whole.classifier.mixture.temperature) == pytest.approx(calibration["temperature"])


@pytest.mark.parametrize("name", ["whole", "live"])
def test_a_bundle_answers_as_the_model_did(name, request, tmp_path):
    model = request.getfixturevalue(name)
    again = sw.load(model.save(tmp_path / "reviews.sw", onnx=False))
    assert isinstance(again, ClassifyModel)
    texts = reviews(20, seed=2)["text"]
    assert again.predict(texts) == model.predict(texts)
    assert again.bundle.model_hash == model.bundle.model_hash


def test_a_session_gives_the_label_so_far(live):
    stream = live.stream(engine="torch")
    events = [stream.update(token).plain() for token in live.codec.tokens("The film was really dull")]
    assert events[-1]["label"] == "neg"
    want = live.predict(["The film was really dull"])[0]["probabilities"]["neg"]
    assert events[-1]["probabilities"]["neg"] == pytest.approx(want, abs=1e-5)
    half = live.predict(["the film was"])[0]["probabilities"]["neg"]
    assert events[2]["probabilities"]["neg"] == pytest.approx(half, abs=1e-5)


def test_the_law_of_live_sessions(live):
    sw.testing.check_stream(live, reviews(3, seed=4))


def test_compiled_kernels_give_the_same_labels(live):
    if extension() is None:
        pytest.skip("no compiled kernels here")
    native, plain = live.stream(engine="native"), live.stream(engine="torch")
    for token in live.codec.tokens("the film was really dull zxqv"):
        np.testing.assert_allclose(native.update(token).values, plain.update(token).values, atol=1e-5)


def test_a_bidirectional_one_refuses_to_stream(whole):
    with pytest.raises(ConfigError) as error:
        whole.stream()
    assert str(error.value) == (
        "classify: a bidirectional classifier reads the future: it cannot stream; train with "
        "bidirectional=False."
    )


def test_curves_with_missing_values():
    data = curves(200)
    model = fitted(data, values=["x", "y"], bidirectional=False, pooling=["mean", "last"])
    assert share_right(model, curves(100, seed=1)) > 0.95
    assert model.labels == [0, 1]
    stream = model.stream(engine="torch")
    for x, y in zip(data["x"][0], data["y"][0], strict=True):
        event = stream.update([x, y]).plain()
    want = model.predict([{"x": data["x"][0], "y": data["y"][0]}])[0]["probability"]
    assert event["probability"] == pytest.approx(want, abs=1e-5)
    sw.testing.check_stream(model, curves(3, seed=2))


def test_several_labels_with_a_wanted_precision():
    model = fitted(topics(500), label="tags", multi_label=True, precision=0.99)
    answers = model.predict(["the good film", "the dull film", "a lovely awful plot", "the film of it"])
    assert [sorted(a["labels"]) for a in answers] == [["praise"], ["blame"], ["blame", "praise"], []]
    calibration = model.training["calibration"]
    assert len(calibration["thresholds"]) == 2
    assert min(calibration["precision"]) >= 0.9
    assert model.predict(pl.DataFrame({"text": ["good"]}))["tags"].to_list() == [["praise"]]


def test_a_wanted_precision_of_one_class():
    model = fitted(reviews(300), positive="pos", precision=0.99)
    assert model.codec.decision.thresholds == tuple(model.training["calibration"]["thresholds"])


def test_without_held_out_rows_nothing_is_calibrated():
    train = TrainConfig(epochs=1, batch_size=16)
    model = sw.fit(
        sw.Classify(subwords=20, embedding_size=8),
        reviews(40),
        hidden_size=4,
        train=train,
        validation=0,
        progress=False,
    )
    assert model.training["calibration"] == {}


def test_validation_rows_of_their_own():
    train = TrainConfig(epochs=1, batch_size=16, validate_every=5)
    task = sw.Classify(subwords=20, embedding_size=8)
    model = sw.fit(
        task, reviews(40), hidden_size=4, train=train, validation=reviews(20, seed=3), progress=False
    )
    assert (model.training["rows"], model.training["validation_rows"]) == (40, 20)
    odd = {"text": ["good"], "label": ["odd"]}
    with pytest.raises(DataError) as error:
        sw.fit(task, reviews(40), train=train, validation=odd, progress=False)
    assert str(error.value).startswith("label: 'odd' is not among the labels of the training rows")


def test_given_word_vectors_reach_words_that_no_training_row_holds(tmp_path):
    path = tmp_path / "vectors.txt"
    rows = [f"{word} {sign} 0.5" for words, sign in ((GOOD, 1), (BAD, -1)) for word in words]
    path.write_text("\n".join([*rows, "splendid 1 0.5", "dreadful -1 0.5"]) + "\n", encoding="utf-8")
    model = fitted(reviews(300), vectors=str(path), subwords=0, word_dropout=0.5, locked_dropout=0.0)
    answers = model.predict(["a splendid film", "a dreadful film"])
    assert [answer["label"] for answer in answers] == ["pos", "neg"]
    path.unlink()  # read in training only
    assert model.task.vectors == "vectors.txt"
    again = sw.load(model.save(tmp_path / "model.sw", onnx=False))
    np.testing.assert_allclose(
        again.probabilities(["a splendid film"])[0], model.probabilities(["a splendid film"])[0], atol=1e-6
    )


def test_word_vectors_are_of_words(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        fitted(reviews(20), vectors=str(path), tokenizer="characters")
    assert str(error.value) == "vectors: these are of words; the tokenizer is 'characters'."


def test_words_and_pairs_of_words_stand_beside_the_networks(tmp_path):
    model = fitted(reviews(300), n_grams=2, bidirectional=False, members=2)
    found = model.training["calibration"]
    assert found["log_loss_after"] <= min(found["log_loss_networks"], found["log_loss_n_grams"]) + 1e-9
    assert float(model.classifier.mixture.share) == pytest.approx(found["n_gram_share"])
    assert share_right(model, reviews(100, seed=1)) > 0.95
    again = sw.load(model.save(tmp_path / "wide.sw", onnx=False))
    assert isinstance(again, ClassifyModel)
    texts = reviews(20, seed=2)["text"]
    np.testing.assert_array_equal(again.probabilities(texts), model.probabilities(texts))
    assert again.bundle.model_hash == model.bundle.model_hash
    sw.testing.check_stream(model, reviews(3, seed=4))


def test_runs_of_words_have_a_graph_and_no_form_in_the_kernels():
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model = fitted(reviews(60), n_grams=3, bidirectional=False)
    with pytest.raises(ConfigError, match=r"^native step: .*: use another engine\.$"):
        model.engine("native")
    graph, plain = model.stream(engine="onnx"), model.stream(engine="torch")
    for token in model.codec.tokens("the film was really dull zxqv"):
        np.testing.assert_allclose(graph.update(token).values, plain.update(token).values, atol=1e-5)
