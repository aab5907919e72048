"""What every model does live, whatever its kind: sessions, samples, and the refusal of what cannot stream."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from live_words import TEXT, WordModel, WordNetwork, word_model

from statewise.core.errors import BundleError, ConfigError
from statewise.models.model import Model


class Reader(WordModel):
    """The model without a live step; its answers are made up of the words."""

    @property
    def live(self) -> Any:
        raise ConfigError("words: the model reads the future: it cannot stream.")

    def predict(self, data: Any) -> Any:
        shift = float(self.network.readout.bias.detach()[0])  # type: ignore[union-attr, operator]
        return [{"longest": max(row, key=len), "score": len(row) + shift} for row in data]


def reader() -> Reader:
    sound = word_model()
    return Reader(task=sound.task, backbone=sound.backbone, codec=sound.codec, network=sound.network)


def as_saved(model: Model) -> Model:
    """The model with samples that went through JSON."""
    return replace(model, samples=tuple(json.loads(json.dumps(model.samples, allow_nan=False))))


def test_sessions_are_restored_and_stand_side_by_side() -> None:
    model = word_model()
    stream = model.stream(engine="torch")
    for word in TEXT[:4]:
        stream.update(word)
    again = model.restore(stream.snapshot(), "torch")
    assert np.array_equal(again.update("mat").values, stream.update("mat").values)
    streams = model.streams("torch")
    streams.update({"id": "a", "item": "cat"})
    assert streams["a"].name == "a"
    assert streams.update("cat").plain()["steps"] == 1


def test_a_live_model_replays_a_session() -> None:
    model = as_saved(word_model().with_samples(TEXT))
    assert [sample["row"] for sample in model.samples] == TEXT
    model.verify()
    other = WordNetwork()
    other.readout.bias.data[3] += 1.0
    with pytest.raises(BundleError, match=r"^samples: the answer to row 8 is off by "):
        replace(model, network=other.eval()).verify()


def test_a_model_that_reads_the_future_replays_answers() -> None:
    model = as_saved(reader().with_samples([["the", "cat"], ["on"]]))
    assert model.samples[0]["row"] == ["the", "cat"]
    assert model.samples[0]["answer"]["longest"] == "the"
    model.verify()
    other = WordNetwork()
    other.readout.bias.data[0] += 1.0
    with pytest.raises(BundleError) as caught:
        replace(model, network=other.eval()).verify()
    assert str(caught.value) == (
        "samples: the answer to row 1 is off by 1 (at most 0.0001): "
        "this machine computes the model differently from where it was saved."
    )


def test_its_bundle_says_that_it_cannot_stream() -> None:
    model = reader()
    assert not model.streams_live
    assert (model.bundle.inputs, model.bundle.state) == ((), {})
    for ask in (model.stream, model.streams, model.engine):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == "words: the model reads the future: it cannot stream."


def test_a_bundle_of_words_holds_ids() -> None:
    (spec,) = word_model().bundle.inputs
    assert (spec.name, spec.shape, spec.dtype) == ("word", (), "int64")
