"""Autocomplete keeps its state between keystrokes: as if it had read the text at once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from generate_rows import LINES, text
from hypothesis import given, settings
from hypothesis import strategies as st

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.decoding.completion import Lexicon
from statewise.evaluation.generate import typed
from statewise.models.autocomplete import Autocomplete
from statewise.models.generate import GenerateModel

QUICK = sw.TrainConfig(steps=110, batch_size=8, chunk_length=24, learning_rate=2e-2, average=0.9)
KINDS = ("characters", "words", "bpe")


class Reading:
    """A model whose state is what it has read."""

    def __init__(self, size: int) -> None:
        self.size = size

    def initial_state(self, batch: int):
        return torch.zeros(0, dtype=torch.int64)

    def step(self, x, state):
        return torch.zeros(1, self.size), torch.cat((state, x))

    def __call__(self, x, state):
        return torch.zeros(1, x.shape[1], self.size), torch.cat((state, x[0]))


def fitted(kind: str) -> GenerateModel:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    task = sw.Generate(tokenizer=kind, max_size=280 if kind == "bpe" else 0)
    data = {"text": [text()]}
    model = sw.fit(
        task, data, hidden_size=24, num_layers=1, dropout=0.0, train=QUICK, validation=0, progress=False
    )
    assert isinstance(model, GenerateModel)
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, GenerateModel]:
    return {}


@pytest.fixture(params=KINDS)
def model(request, models) -> GenerateModel:
    if request.param not in models:
        models[request.param] = fitted(request.param)
    return models[request.param]


def test_it_suggests_the_rest_of_the_word(model):
    board = model.complete("long live the k", k=2)
    assert board.suggestions[0].word == "king"
    assert board.suggestions[0].adds == "ing"
    assert board.suggestions[0].probability > 0.5
    board.accept()
    assert board.text == "long live the king "
    assert board.keys == 1
    assert board.saved == pytest.approx(1 - 1 / 4)


def test_it_suggests_the_next_word(model):
    assert {one.word for one in model.complete("the king ", k=1).suggestions} == {"is"}


@settings(max_examples=12, deadline=None)
@given(keys=st.lists(st.sampled_from([*"the kin", "\n", "<", "<<<<"]), max_size=14))
def test_any_keys_lead_where_the_text_alone_leads(models, keys):
    for model in models.values():
        board, written = model.complete("the king is\nlong", k=2), "the king is\nlong"
        for key in keys:
            back = len(key) if key.startswith("<") else 0
            if back <= len(written):
                board.backspace(back) if back else board.type(key)
                written = written[: len(written) - back] if back else written + key
        assert board.text == written
        fresh = model.complete(written, k=2)
        assert [one.word for one in board.suggestions] == [one.word for one in fresh.suggestions]
        probabilities = [one.probability for one in fresh.suggestions]
        assert [one.probability for one in board.suggestions] == pytest.approx(probabilities, abs=1e-4)


def test_a_long_way_back_is_read_anew(model):
    written = "\n".join(LINES * 10) + "\nlong live the k"
    board = model.complete(written, k=1)
    board.backspace(len(written) - len("the king i"))
    board.backspace(len("the king i")).type("the king i")
    assert [one.word for one in board.suggestions] == ["is"]


def test_keys_are_counted(model):
    board = model.complete("the ")
    board.type("kin").backspace().type("n")
    assert board.keys == 5
    assert board.saved < 0  # five keys for three letters
    assert model.complete("the ").saved == 0.0


def test_typing_with_suggestions_saves_keys(model):
    assert 0.2 < typed(model, text(4, seed=3)) < 0.9


def byte_pairs(models) -> GenerateModel:
    if "bpe" not in models:
        models["bpe"] = fitted("bpe")
    return models["bpe"]


PIECES = st.sampled_from(["a", "the", "ki", " ", "  ", "\n", "\n\n", "'s", "'", "!", "1", "é", "\t"])


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12), documents=st.booleans())
def test_byte_pairs_are_read_word_by_word_as_they_are_cut_at_once(models, pieces, documents):
    written = "".join(pieces)
    codec = replace(byte_pairs(models).codec, documents=documents)
    board = Autocomplete(Reading(codec.size), codec)
    for letter in written:
        board.type(letter)
    last = board._kept[-1]
    assert last.state.tolist() == [codec.start, *codec.encode(written[: last.read])]
    assert not any(letter in " \t\n" for letter in written[last.read :].lstrip())


def test_what_byte_pairs_have_read_is_how_the_finished_word_begins(models):
    model = byte_pairs(models)
    whole = "the king is here\n\nthe queen"
    cut = model.codec.encode(whole)
    for end in range(whole.index("is"), len(whole)):
        read = model.complete(whole[:end], k=1)._kept[-1].read
        made = model.codec.encode(whole[:read])
        assert read > 0
        assert cut[: len(made)] == made


def test_an_open_word_is_as_likely_as_all_its_cuts_say(models):
    model, before = byte_pairs(models), "long live the"
    (best,) = model.complete(f"{before} k", k=1).suggestions
    surfaces, ids = model.codec.surfaces, model.codec.encode(before)
    place = len(ids)

    def probability(more, allowed):
        """Of some items after `before`, and of `allowed` ones after these."""
        *_, (_, log_probs) = model.readings([*ids, *more, 0])
        chosen = [log_probs[place + i, number] for i, number in enumerate(more)]
        return math.exp(float(sum(chosen) + log_probs[-1][allowed].logsumexp(0)))

    word = model.codec.encode(f"{before} {best.word}")[place:]  # the likeliest cut
    end = probability(word, Lexicon(surfaces).opens)
    space = [surfaces.index(" ")]
    given = probability([], [i for i, text in enumerate(surfaces) if text.startswith(" k")])
    given += probability(space, [i for i, text in enumerate(surfaces) if text.startswith("k")])
    assert best.probability == pytest.approx(end / given, abs=1e-4)
    assert best.probability > 0.8


def test_what_cannot_be_done_is_told(model):
    board = model.complete("the k")
    with pytest.raises(ConfigError, match=r"^backspace: got 9, want 0 to 5, the letters there are.$"):
        board.backspace(9)
    with pytest.raises(ConfigError, match=r"^accept: got 7, there are \d suggestions, counted from 0.$"):
        board.accept(7)
    with pytest.raises(ConfigError, match=r"^k: got 0, want 1 or more suggestions.$"):
        model.complete("", k=0)
