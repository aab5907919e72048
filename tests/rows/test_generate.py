"""Text and events to numbers and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import statewise as sw
from statewise.core.errors import BundleError, ConfigError, DataError, StreamError
from statewise.rows.generate import GenerateCodec, event_sequences
from statewise.rows.records import records
from statewise.rows.text.events import Events

LINES = ["the cat sat.", "a dog ran", "the dog sat"]


def codec(**settings) -> GenerateCodec:
    task = sw.Generate(**settings)
    return task.codec(task.sequences(task.rows({"text": LINES})))


@given(st.text("thecadogsr. \n", max_size=40))
def test_characters_come_back(text: str) -> None:
    made = codec()
    assert made.decode(made.encode(text)) == text


def test_words_of_running_text_end_their_lines() -> None:
    made = codec(tokenizer="words")
    ids = made.encode("the dog\na cat\n")
    assert [made.token(number) for number in ids] == ["the", "dog", "\n", "a", "cat", "\n"]
    assert made.decode(ids) == "the dog\na cat\n"
    assert made.start == made.encode("\n")[0]


def test_documents_end_and_running_text_does_not() -> None:
    running, documents = codec(), codec(documents=True)
    assert len(running.corpus(["ab\n"]).sequences[0]) == 3
    held = documents.corpus(["the cat", "a"])
    assert [len(ids) for ids in held.sequences] == [8, 2]
    assert held.letters == held.tokens == 10
    assert documents.token(int(held.sequences[0][-1])) == "<eos>"
    assert documents.start == held.sequences[0][-1]


def test_unknown_items_are_unknown_and_never_drawn() -> None:
    made = codec(tokenizer="words")
    unknown = made.encode("zebra")[0]
    assert unknown in made.never_drawn
    assert unknown not in {
        made.encode(one["item"])[0] for one in made.likeliest(np.zeros(made.size), 99) if one["item"] != "\n"
    }


def test_running_characters_start_after_a_line() -> None:
    assert codec().start == codec().encode("\n")[0]
    task = sw.Generate()
    assert task.codec(["no line end"]).start in task.codec(["no line end"]).never_drawn


def test_byte_pairs_keep_the_space_of_a_word() -> None:
    pytest.importorskip("tokenizers")
    made = codec(tokenizer="bpe", max_size=300)
    ids = made.encode("the dog sat")
    assert made.decode(ids) == "the dog sat"
    assert "".join(made.surfaces[number] for number in ids) == "the dog sat"
    assert made.encode("a dog\nthe dog")[-2:] == made.encode("the dog")
    documents = codec(tokenizer="bpe", max_size=300, documents=True)
    assert "".join(documents.surfaces[number] for number in documents.encode("the dog")) == " the dog"
    assert [int(made.encode_item(made.token(number))[0]) for number in ids] == ids
    with pytest.raises(StreamError, match=r"^item: got 'qqqq', want one part of a word.$"):
        made.encode_item("qqqq")


def test_a_live_answer_is_plain() -> None:
    made = codec()
    log_probs = np.full(made.size, np.log(0.5 / (made.size - 1)))
    log_probs[made.encode("a")[0]] = np.log(0.5)
    answer = made.decode_output(np.concatenate([[2 * np.log(2)], log_probs]).astype(np.float32))
    assert answer["bits"] == pytest.approx(2.0)
    assert answer["next"][0] == {"item": "a", "probability": pytest.approx(0.5)}
    assert len(answer["next"]) == 5
    json.dumps(answer)


@pytest.mark.parametrize("tokenizer", ["characters", "words"])
def test_the_codec_comes_back_from_json(tokenizer: str) -> None:
    made = codec(tokenizer=tokenizer)
    assert GenerateCodec.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_events() -> None:
    made = Events.fit([["x", "y"], ["x"]])
    assert made.decode(made.encode(["x", "y", "new"])) == ["x", "y", "<unk>"]
    held = GenerateCodec(made, documents=True)
    assert GenerateCodec.from_json(json.loads(json.dumps(held.to_json()))) == held
    assert int(held.encode_item("y")[0]) == made.encode(["y"])[0]
    with pytest.raises(StreamError, match=r"^item: got \['x'\], want one event.$"):
        held.encode_item(["x"])
    with pytest.raises(ConfigError, match=r"^events: got 'xy', want a list of events.$"):
        held.encode("xy")


def test_a_log_is_taken_apart_in_order() -> None:
    rows = records({"who": ["a", "b", "a", "b"], "what": [1, 2, 3, 4]}, ["what", "who"])
    assert event_sequences(rows, "what", "who") == [["1", "3"], ["2", "4"]]
    lists = records({"what": [["x", "y"], ["z"]]}, ["what"])
    assert event_sequences(lists, "what", "") == [["x", "y"], ["z"]]
    broken = records({"who": ["a", None], "what": [1, 2]}, ["what", "who"])
    with pytest.raises(DataError, match=r"^who: got None, want one value \(row 1\).$"):
        event_sequences(broken, "what", "who")


def test_damaged_codecs_are_refused() -> None:
    plain = codec().to_json()
    with pytest.raises(BundleError, match=r"^codec: want reader, documents and suggestions.$"):
        GenerateCodec.from_json({**plain, "more": 1})
    with pytest.raises(BundleError, match=r"^codec: want documents true or false and a number of sugg"):
        GenerateCodec.from_json({**plain, "suggestions": 0})
