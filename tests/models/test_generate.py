"""A language model fitted on made-up text: texts of its own, surprisal, bundles, live sessions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
import torch
from generate_rows import LINES, log, text

import statewise as sw
from statewise.core.errors import ConfigError, StreamError
from statewise.core.native import extension
from statewise.models.generate import GenerateModel

QUICK = sw.TrainConfig(
    steps=120, batch_size=8, chunk_length=24, learning_rate=2e-2, average=0.9, validate_every=40
)
ONCE = sw.TrainConfig(steps=1, batch_size=8, chunk_length=24)


def fitted(data: dict, members: int = 1, train: sw.TrainConfig = QUICK, **settings) -> GenerateModel:
    task = sw.Generate(**settings)
    model = sw.fit(
        task, data, hidden_size=32, num_layers=1, dropout=0.0, members=members, train=train, progress=False
    )
    assert isinstance(model, GenerateModel)
    return model


@pytest.fixture(scope="module")
def characters() -> GenerateModel:
    return fitted({"text": [text()]})


@pytest.fixture(scope="module")
def words() -> GenerateModel:
    return fitted({"text": [text()]}, tokenizer="words", members=2)


@pytest.fixture(scope="module")
def events() -> GenerateModel:
    return fitted(log(), items="played", by="who")


@pytest.fixture(scope="module")
def documents() -> GenerateModel:
    return fitted({"text": list(LINES) * 20}, tokenizer="words", documents=True)


def test_it_learns(characters, words, events):
    assert characters.perplexity({"text": [text(40, seed=1)]}) < 1.6
    assert words.perplexity({"text": [text(40, seed=1)]}) < 2.0
    assert events.perplexity(log(10, seed=1)) < 2.2


@pytest.mark.parametrize("name", ["characters", "words"])
def test_text_is_seeded_and_streams_as_it_is(name, request):
    model = request.getfixturevalue(name)
    made = model.generate("the king is ", 30, temperature=0.8, top_p=0.95, seed=3)
    assert made == model.generate("the king is ", 30, temperature=0.8, top_p=0.95, seed=3)
    assert made == "".join(model.tokens("the king is ", 30, temperature=0.8, top_p=0.95, seed=3))
    assert len({model.generate("the", 30, seed=seed) for seed in range(4)}) > 1


def test_greedy_text_goes_on_as_the_rows_did(characters, words):
    assert characters.generate("the king is", 6, temperature=0) == " here\n"
    assert words.generate("the king is", 2, temperature=0) == " here\n"
    assert words.generate("the king is\n", 0) == ""


def test_text_ends_before_a_stop_string(characters):
    made = characters.generate("long", 200, seed=1, stop=["\n"])
    assert "\n" not in made
    assert (made + "\n") in characters.generate("long", 200, seed=1)
    assert characters.generate("long", 5, temperature=0, stop=" liv") == ""


def test_a_document_ends_by_itself(documents):
    assert documents.generate("long live", 50, temperature=0) == " the king"
    made = [documents.generate("", 50, temperature=0.3, seed=seed) for seed in range(5)]
    assert all(one in LINES for one in made)


def test_events_are_lists(events):
    assert events.generate(["verse"], 3, temperature=0) == ["chorus", "bridge", "outro"]
    assert list(events.tokens(["verse"], 3, temperature=0)) == ["chorus", "bridge", "outro"]
    with pytest.raises(ConfigError, match=r"^stop: got a text to stop at, but this model writes events.$"):
        events.generate(["verse"], 3, stop="x")
    with pytest.raises(ConfigError, match=r"^stop: got a text to stop at, but this model writes events.$"):
        events.tokens(["verse"], 3, stop="x")
    with pytest.raises(ConfigError, match=r"^events: got 'verse', want a list of events.$"):
        events.generate("verse", 3)


def test_what_was_never_seen_is_never_written(words):
    made = itertools.islice(words.tokens("zebra", 200, temperature=5.0), 200)
    assert not any("<" in piece for piece in made)


def test_surprisal_adds_up_to_the_perplexity(words):
    line = "the queen is gone\n"
    found = words.surprisal(line)
    assert [one.token for one in found] == ["the", "queen", "is", "gone", "\n"]
    mean = np.mean([one.bits for one in found])
    assert words.perplexity({"text": [line]}) == pytest.approx(2**mean, rel=1e-5)
    assert words.bits({"text": [line]}) == pytest.approx(5 * mean / len(line), rel=1e-5)


def test_what_is_not_known_is_named_as_it_is(words):
    assert [one.token for one in words.surprisal("the zebra is")] == ["the", "zebra", "is"]
    (items,) = words.items({"text": ["the zebra is\n"]})
    assert items == ["the", "zebra", "is", "\n"]
    stream = words.stream(engine="torch")
    unknown = [stream.update(item) for item in items][1]
    assert unknown.answer["bits"] == pytest.approx(words.surprisal("the zebra")[1].bits, abs=1e-3)
    assert words.stream(engine="torch").update("<unk>").answer["bits"] > 5


def test_rare_words_may_stand_in_the_samples():
    model = fitted({"text": ["once upon a time\n" + text()]}, tokenizer="words", min_count=2, train=ONCE)
    model.verify()


def test_probabilities_of_members_are_averaged(words):
    model, ids = words.language_model, torch.tensor([words.codec.encode(LINES[0])])
    mean = torch.stack([network(ids)[0].exp() for network in model.networks]).mean(0)
    assert torch.allclose(model(ids)[0].exp(), mean, atol=1e-6)


def test_predictions_of_rows(events, characters):
    played = log(4, seed=2)
    frame = events.predict(pl.DataFrame(played), k=2)
    assert frame.columns == ["who", "next", "probability", "bits"]
    assert frame["who"].to_list() == list(dict.fromkeys(played["who"]))
    names = ("intro", "verse", "chorus", "bridge", "outro")
    last = dict(zip(played["who"], played["played"], strict=True))
    # After its last event a sequence ends or goes round.
    expected = {names[(names.index(event) + 1) % 5] for event in last.values()} | {"<eos>"}
    assert {items[0] for items in frame["next"]} <= expected
    answers = characters.predict(["the king is", "lon"], k=3)
    assert [answer["next"][0] for answer in answers] == [" ", "g"]
    assert len(answers[0]["probability"]) == 3


@pytest.mark.parametrize("name", ["characters", "words", "events"])
def test_a_bundle_is_the_model(name, request, tmp_path):
    model = request.getfixturevalue(name)
    again = sw.load(model.save(tmp_path / "model.sw", onnx=False))
    assert isinstance(again, GenerateModel)
    prompt = ["verse"] if name == "events" else "the "
    assert again.generate(prompt, 20, seed=1) == model.generate(prompt, 20, seed=1)
    assert again.training == model.training


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_live_session_tells_what_comes_and_how_surprising_it_was(characters, engine):
    if engine == "native" and extension() is None:
        pytest.skip("the kernels are not built")
    stream = characters.stream(engine=engine)
    line = "the king"
    seen = [stream.update(letter) for letter in line]
    want = characters.surprisal(line)
    assert [event.answer["bits"] for event in seen] == pytest.approx([one.bits for one in want], abs=1e-3)
    nats = sum(event.values[0] for event in seen)
    assert nats == pytest.approx(math.log(2) * sum(one.bits for one in want), abs=1e-3)
    assert seen[-1].answer["next"][0]["item"] == characters.predict([line], k=1)[0]["next"][0]


@pytest.mark.parametrize("engine", ["native", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_tied_softmax_in_groups_runs_compiled(engine):
    if engine == "native" and extension() is None:
        pytest.skip("the kernels are not built")
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    groups = {"softmax": "adaptive", "cutoffs": (6, 9)}
    model = fitted({"text": [text()]}, tokenizer="words", embedding_size=12, train=ONCE, **groups)
    line = "the queen is here"
    stream = model.stream(engine=engine)
    seen = [stream.update(word) for word in line.split()]
    want = [one.bits for one in model.surprisal(line)]
    assert [event.answer["bits"] for event in seen] == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize("name", ["characters", "words", "events"])
def test_live_sessions_hold_what_streams_hold(name, request):
    data = log(5, seed=1) if name == "events" else {"text": [text(3, seed=1)]}
    sw.testing.check_stream(request.getfixturevalue(name), data)


def test_live_sessions_refuse_what_is_no_item(characters, words):
    with pytest.raises(StreamError, match=r"^item: got 'ab', want one character.$"):
        characters.stream(engine="torch").update("ab")
    with pytest.raises(StreamError, match=r"^item: got 5, want one word.$"):
        words.stream(engine="torch").update(5)


def test_a_held_out_end_is_scored(characters):
    record = characters.training
    assert record["items"] + record["validation_items"] == len(text())
    assert record["vocabulary"] == characters.codec.size
    assert record["best"] < 1.0


def test_settings_are_checked(characters):
    with pytest.raises(ConfigError, match=r"^length: got -1, want 0 or more.$"):
        characters.generate("a", -1)
    with pytest.raises(ConfigError, match=r"^text: got 5, want a text.$"):
        characters.generate(5)
