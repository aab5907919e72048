"""Item streams: words in, answers out; the same session on torch, ONNX Runtime and the compiled kernels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from live_words import INPUTS, TEXT, WORDS, WordCodec, WordNetwork, word_bundle

from statewise.core.errors import BundleError, ConfigError, StreamError
from statewise.core.native import extension
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.nn.native_step import step_program, verified
from statewise.streaming import opening
from statewise.streaming.engines import Engine
from statewise.streaming.items import ItemStream
from statewise.streaming.native_engine import NativeEngine
from statewise.streaming.opening import onnx_engine, open_streams
from statewise.streaming.replay import record, verify
from statewise.streaming.streams import Streams


@pytest.fixture(scope="module")
def network() -> WordNetwork:
    return WordNetwork().eval()


@pytest.fixture
def stream(network: WordNetwork) -> ItemStream:
    return ItemStream(WordCodec(), TorchEngine(network, "abc"))


def whole(network: WordNetwork, items: list[str]) -> np.ndarray:
    ids = [int(WordCodec().encode_item(item)[0]) for item in items]
    with torch.no_grad():
        return np.asarray(network(torch.tensor([ids]))[0][0])


def test_updates_equal_the_whole_pass(network: WordNetwork, stream: ItemStream) -> None:
    for steps, (item, want) in enumerate(zip(TEXT, whole(network, TEXT), strict=True), start=1):
        event = stream.update(item)
        np.testing.assert_allclose(event.values, want, atol=1e-6)
        assert event.provenance == (steps, "abc")
        assert event is stream.event


def test_an_event_in_plain_words(stream: ItemStream) -> None:
    stream.update("the")
    event = stream.update("cat")
    plain = json.loads(json.dumps(event.plain()))
    best = int(event.values.argmax())
    assert plain == {
        "item": "cat",
        "next": WORDS[best],
        "log_prob": float(event.values[best]),
        "steps": 2,
        "model": "abc",
    }
    assert event.answer is event.answer
    assert repr(event).startswith(f"ItemEvent('cat', {{'next': '{WORDS[best]}'")


BAD = [
    ("", "word: got '', want text."),
    (7, "word: got 7, want text."),
    (None, "word: got None, want text."),
    ({"item": 7}, "word: got 7, want text."),
    ({"item": "cat", "time": 1}, 'row: no such key \'time\', want "item" and, for its session, "id".'),
    ({"item": "cat", "id": "b"}, "id: got 'b', this stream is of session 'a'."),
]


@pytest.mark.parametrize(("item", "text"), BAD, ids=[text[:20] for _, text in BAD])
def test_a_bad_item_raises_and_changes_nothing(network: WordNetwork, item: Any, text: str) -> None:
    stream = ItemStream(WordCodec(), TorchEngine(network, "abc"), "a")
    for word in TEXT[:4]:
        stream.update(word)
    before, last = stream.snapshot(), stream.event
    with pytest.raises(StreamError) as caught:
        stream.update(item)
    assert str(caught.value) == text
    assert stream.snapshot() == before
    assert stream.event is last


def test_an_answer_that_is_no_number_is_refused(network: WordNetwork) -> None:
    broken = WordNetwork()
    broken.readout.bias.data.fill_(float("nan"))
    stream = ItemStream(WordCodec(), TorchEngine(broken, "abc"))
    before = stream.snapshot()
    with pytest.raises(StreamError) as caught:
        stream.update("cat")
    assert str(caught.value) == (
        "answer 1: got a value that is not a number; the stream is as before that item. "
        "Leave the item out, or start anew with reset()."
    )
    assert stream.snapshot() == before


def test_forks_and_reset(network: WordNetwork, stream: ItemStream) -> None:
    fresh = stream.snapshot()
    for item in TEXT[:5]:
        stream.update(item)
    before = stream.snapshot()
    one, two = stream.fork(), stream.fork()
    assert not np.array_equal(one.update("mat").values, two.update("cat").values)
    assert stream.snapshot() == before
    assert type(one) is ItemStream
    stream.reset()
    assert stream.snapshot() == fresh
    assert stream.event is None


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_restore_goes_on_bit_for_bit(network: WordNetwork, stream: ItemStream, cut: int) -> None:
    for item in TEXT[:cut]:
        stream.update(item)
    other = ItemStream(WordCodec(), TorchEngine(network, "abc"))
    other.restore(stream.snapshot())
    if stream.event is not None:
        assert other.event is not None
        assert other.event.plain() == stream.event.plain()
    for item in TEXT[cut:]:
        want, got = stream.update(item), other.update(item)
        assert got.values.tobytes() == want.values.tobytes()
        assert got.provenance == want.provenance
    assert other.snapshot() == stream.snapshot()


def test_a_snapshot_that_does_not_fit_changes_nothing(network: WordNetwork, stream: ItemStream) -> None:
    other = ItemStream(WordCodec(), TorchEngine(WordNetwork(hidden=4), "abc"))
    stream.update("cat")
    before = stream.snapshot()
    with pytest.raises(StreamError, match=r"^state: leaf 'hidden'"):
        stream.restore(other.snapshot())
    with pytest.raises(StreamError, match=r"^snapshot: of model abc, this is model fff\."):
        ItemStream(WordCodec(), TorchEngine(network, "fff")).restore(before)
    assert stream.snapshot() == before


def test_sessions_side_by_side(network: WordNetwork, stream: ItemStream) -> None:
    streams = Streams(stream)
    alone = {name: ItemStream(WordCodec(), TorchEngine(network, "abc"), name) for name in ("a", "b")}
    for place, item in enumerate(TEXT):
        name = "ab"[place % 3 == 0]
        got = streams.update({"id": name, "item": item})
        assert got.values.tobytes() == alone[name].update(item).values.tobytes()
        assert got.plain()["id"] == name
    streams.update("cat")  # the session without a name
    assert streams.ids == ("b", "a", "")
    other = Streams(stream.named(""))
    other.restore(streams.snapshot())
    assert other.snapshot() == streams.snapshot()
    with pytest.raises(StreamError):
        streams.update({"id": "c", "item": ""})
    assert streams.ids == ("b", "a", "")


@pytest.fixture(scope="module")
def graph(network: WordNetwork) -> bytes:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return export_onnx(LiveStep(network, ["word"]), [torch.zeros(1, dtype=torch.int64)])


def native(network: WordNetwork, _: Any) -> Engine:
    if extension() is None or not hasattr(extension(), "Steps"):
        pytest.skip("the compiled kernels are not there")
    program = verified(step_program(network, {"word": ()}, ids=["word"]), network, {"word": ()})
    return NativeEngine(program, word_bundle(network).model_hash)


def onnx(network: WordNetwork, request: pytest.FixtureRequest) -> Engine:
    return onnx_engine(word_bundle(network, step_onnx=request.getfixturevalue("graph")))


@pytest.mark.parametrize("make", [native, onnx])
def test_engines_agree_and_exchange_sessions(
    make: Callable[[WordNetwork, Any], Engine], network: WordNetwork, request: pytest.FixtureRequest
) -> None:
    engine = make(network, request)
    ours = ItemStream(WordCodec(), engine)
    theirs = ItemStream(WordCodec(), TorchEngine(network, engine.model_hash))
    for item in TEXT * 3:
        np.testing.assert_allclose(ours.update(item).values, theirs.update(item).values, atol=1e-5)
    moved, back = theirs.fork(), ours.fork()
    moved.restore(ours.snapshot())
    back.restore(theirs.snapshot())
    for stream in (moved, back):
        np.testing.assert_allclose(stream.update("mat").values, ours.fork().update("mat").values, atol=1e-5)


def test_samples_are_recorded_and_replayed(
    network: WordNetwork, stream: ItemStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = record(stream, TEXT)
    assert [sample["answer"] is None for sample in samples] == [True] * 7 + [False] * 2
    assert len(json.dumps(samples[-1]["answer"][0])) < 14  # no more digits than single precision has
    bundle = word_bundle(network, samples=json.loads(json.dumps(samples)))
    monkeypatch.setitem(opening.KINDS, "words", lambda bundle, engine: ItemStream(WordCodec(), engine))
    streams = open_streams(bundle, TorchEngine(network, bundle.model_hash))
    assert streams.update("cat").plain()["steps"] == 1
    torch.manual_seed(1)
    other = WordNetwork()
    other.readout.bias.data += torch.randn(len(WORDS))
    with pytest.raises(BundleError) as caught:
        open_streams(bundle, TorchEngine(other, bundle.model_hash))
    text = str(caught.value)
    assert text.startswith("samples: the answer to row 8 is off by ")
    assert text.endswith(
        " (at most 0.0001): this machine computes the model differently from where it was saved."
    )


def test_what_is_impossible_stays_impossible(network: WordNetwork) -> None:
    """Minus infinity, the logarithm of what cannot come, is an answer, in samples too."""
    sure = WordNetwork()
    sure.readout.bias.data[0] = -torch.inf
    stream = ItemStream(WordCodec(), TorchEngine(sure, "abc"))
    samples = record(stream.fork(), ["the", "cat"])
    assert samples[1]["answer"][0] is None
    verify(stream, json.loads(json.dumps(samples, allow_nan=False)))


def test_a_model_that_reads_the_future_does_not_stream(network: WordNetwork) -> None:
    bundle = replace(word_bundle(network), kind="forecast", inputs=(), state={})
    with pytest.raises(ConfigError) as caught:
        open_streams(bundle, TorchEngine(network, "abc"))
    assert str(caught.value) == (
        "stream: this model reads the future: it cannot stream. "
        "Train it with bidirectional=False, or ask it with statewise predict."
    )


def test_inputs_say_what_they_hold() -> None:
    assert [(spec.name, spec.shape, spec.dtype) for spec in INPUTS] == [("word", (), "int64")]
