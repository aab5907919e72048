"""`check_stream` for items: it passes for a sound model, and names what breaks in one that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from live_words import TEXT, WordCodec, WordModel, WordNetwork, word_model
from torch import Tensor

from statewise.core.errors import ConfigError, LawError, StreamError
from statewise.core.native import extension
from statewise.models.forecast import ForecastModel
from statewise.models.model import Model
from statewise.state import State
from statewise.streaming.items import ItemStream
from statewise.testing import check_stream

DATA = [" ".join(TEXT), "the mat", "cat", ""]


def test_a_model_of_items_keeps_the_law() -> None:
    check_stream(word_model(), DATA, tolerance=1e-5)
    check_stream(word_model(), ["a"])


@pytest.mark.skipif(
    extension() is None or not hasattr(extension(), "Steps"), reason="the compiled kernels are not there"
)
def test_on_the_compiled_kernels_too() -> None:
    model = word_model()
    check_stream(model, DATA, engine="native", tolerance=1e-5)
    assert type(model.engine("auto")).__name__ == "NativeEngine"


@pytest.mark.slow  # the export takes seconds; tests/streaming holds the engines equal
def test_on_onnx_runtime_too() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    check_stream(word_model(), DATA, engine="onnx", tolerance=1e-5)


class Forgetful(WordNetwork):
    """Planted: a step sees nothing of the one before."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, _ = super().step(x, self.initial_state(len(x)))
        return y, state


def test_steps_that_are_not_the_whole_are_caught() -> None:
    with pytest.raises(LawError) as caught:
        check_stream(word_model(Forgetful()), DATA)
    text = str(caught.value)
    assert text.startswith("stream breaks the law: sequence 0, item 1 ('cat'): update gives -")
    assert text.endswith(" apart.")
    assert " at [" in text


class Trusting(WordCodec):
    """Planted: anything is an item."""

    def encode_item(self, item: Any) -> Any:
        return super().encode_item(item if isinstance(item, str) else "<unk>")


class Grumpy(WordCodec):
    """Planted: a word of the rows is refused."""

    def encode_item(self, item: Any) -> Any:
        if item == "mat":
            raise StreamError("word: no.")
        return super().encode_item(item)


class Impulsive(ItemStream):
    """Planted: the count moves before the item is found wrong."""

    def update(self, row: Any) -> Any:
        try:
            return super().update(row)
        except StreamError:
            self._steps += 1
            raise


class SharedFork(ItemStream):
    """Planted: a fork is the stream itself."""

    def fork(self) -> Any:
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class Faulty(WordModel):
    """The model with another kind of stream."""

    made: type[ItemStream] = ItemStream

    def stream(self, name: str = "", engine: Any = "auto") -> Any:
        return self.made(self.codec, self.engine(engine), name)


def faulty(codec: Any = None, made: type[ItemStream] = ItemStream) -> Model:
    sound = word_model()
    return Faulty(
        task=sound.task,
        backbone=sound.backbone,
        codec=codec or sound.codec,
        network=sound.network,
        made=made,
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (faulty(Trusting()), "sequence 0, item 4 ('a'): a list of nothing is taken."),
        (
            faulty(made=Impulsive),
            "sequence 0, item 4 ('a'): a list of nothing is refused but changes the stream.",
        ),
        (faulty(made=SharedFork), "sequence 0, item 4 ('a'): an update of a fork changes the stream."),
    ],
)
def test_planted_bugs_are_caught(model: Model, text: str) -> None:
    with pytest.raises(LawError) as caught:
        check_stream(model, DATA)
    assert str(caught.value) == f"stream breaks the law: {text}"


def test_a_codec_that_refuses_its_own_rows_is_caught() -> None:
    with pytest.raises(LawError) as caught:
        check_stream(faulty(Grumpy()), DATA)
    assert str(caught.value) == (
        "stream breaks the law: sequence 0, item 5 ('mat'): a row of the series is refused: word: no."
    )


def test_a_model_that_cannot_stream_says_so(small_model: ForecastModel) -> None:
    class Reader(WordModel):
        @property
        def live(self) -> Any:
            raise ConfigError("it reads the future.")

    sound = word_model()
    model = Reader(task=sound.task, backbone=sound.backbone, codec=sound.codec, network=sound.network)
    with pytest.raises(ConfigError, match="reads the future"):
        check_stream(model, DATA)
    assert not model.streams_live
    with pytest.raises(ConfigError) as caught:
        Model.items(small_model, DATA)
    assert str(caught.value) == "items: a model of kind 'forecast' does not read items one at a time."


def test_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    model = word_model(WordNetwork())
    torch.set_rng_state(before)
    check_stream(model, DATA[1:])
    assert torch.equal(torch.get_rng_state(), before)
