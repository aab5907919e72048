"""The torch-free half of a classifier: texts, numbers, labels, live items, and what does not fit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from statewise.core.errors import BundleError, ConfigError, DataError, StreamError
from statewise.rows.classify import ClassifyCodec, fit_labels
from statewise.rows.classify_numbers import NumberReader
from statewise.rows.classify_text import TextReader, kept_places
from statewise.rows.decision import Decision
from statewise.rows.records import records
from statewise.rows.text.tokenizers import TokenizerConfig

TEXTS = {"text": ["A fine film.", "a dull one", "fine!"], "label": ["good", "bad", "good"]}
NUMBERS = {"x": [[1.0, 3.0], [5.0]], "y": [[10.0, None], [10.0]], "label": [1, 2]}


def text_codec(max_length: int = 10, subwords: int = 50) -> ClassifyCodec:
    rows = records(TEXTS, ["text", "label"])
    config = TokenizerConfig("words", lowercase=True)
    reader = TextReader.fit(rows, "text", config, max_length, "head_tail", subwords)
    return ClassifyCodec(reader, "label", fit_labels(rows, "label", False), Decision())


def number_codec() -> ClassifyCodec:
    rows = records(NUMBERS, ["x", "y", "label"])
    reader = NumberReader.fit(rows, ["x", "y"], 10, "head")
    return ClassifyCodec(reader, "label", fit_labels(rows, "label", False), Decision())


def test_texts_are_read_token_by_token():
    codec = text_codec()
    rows = records(TEXTS, ["text", "label"])
    for text, arrays in zip(TEXTS["text"], codec.encode(rows), strict=True):
        items = [codec.encode_item(token) for token in codec.tokens(text)]
        for whole, *steps in zip(arrays, *items, strict=True):
            assert (whole == np.stack(steps)).all()
    assert codec.target(rows).tolist() == [1, 0, 1]


def test_numbers_are_read_step_by_step():
    codec = number_codec()
    (first,), (second,) = codec.encode(records(NUMBERS, ["x", "y", "label"]))
    assert first.dtype == np.float32
    assert first[0, 0] == pytest.approx((1 - 3) / math.sqrt(8 / 3))
    assert math.isnan(first[1, 1])
    assert second[0, 1] == 0  # a channel without spread is only centred
    np.testing.assert_array_equal(codec.encode_item([3.0, None])[0], first[1])
    np.testing.assert_array_equal(codec.encode_item({"x": 3.0, "y": float("nan")})[0], first[1])


def test_one_column_of_nested_lists_and_one_flat_channel():
    nested = records({"s": [[[1, 2], [3, 4]], [[5, None]]], "l": [0, 1]}, ["s", "l"])
    reader = NumberReader.fit(nested, ["s"], 10, "head")
    assert reader.channels == 2
    assert [x.shape for x in reader.read(nested)] == [(2, 2), (1, 2)]
    flat = NumberReader.fit(records({"s": [[1, 2, 3]], "l": [0]}, ["s", "l"]), ["s"], 10, "head")
    assert flat.encode_item(2)[0].tolist() == [0.0]


def test_long_sequences_are_cut_where_asked():
    assert kept_places(5, 9, "tail") == [0, 1, 2, 3, 4]
    assert kept_places(9, 4, "head") == [0, 1, 2, 3]
    assert kept_places(9, 4, "tail") == [5, 6, 7, 8]
    assert kept_places(9, 1, "head_tail") == [0]
    codec = text_codec(max_length=3)
    ids, spelling = codec.reader.encode("a fine fine dull film")
    assert ids.tolist() == codec.reader.encode("a dull film")[0].tolist()
    assert spelling.shape[0] == 3
    assert codec.reader.cut(["a b c d", "a b c"]) == 1


def test_a_text_of_nothing_known_is_one_unknown_token():
    ids, spelling = text_codec().reader.encode("")
    assert ids.tolist() == [1]
    assert not spelling.any()


def test_an_answer_in_plain_values():
    answer = text_codec().decode_output(np.array([0.25, 0.75], dtype=np.float32))
    assert answer == {"label": "good", "probability": 0.75, "probabilities": {"bad": 0.25, "good": 0.75}}
    assert json.loads(json.dumps(answer)) == answer


def test_several_labels():
    rows = records({"text": ["a", "b", "c"], "tags": [["x", "y"], [], ["y"]]}, ["text", "tags"])
    labels = fit_labels(rows, "tags", True)
    reader = TextReader.fit(rows, "text", TokenizerConfig("words"), 5, "head", 0)
    codec = ClassifyCodec(reader, "tags", labels, Decision(multi_label=True))
    assert codec.target(rows).tolist() == [[1, 1], [0, 0], [0, 1]]
    assert codec.answers([[0.9, 0.1]])[0] == {"labels": ["x"], "probabilities": {"x": 0.9, "y": 0.1}}
    with pytest.raises(DataError) as error:
        codec.target(records({"text": ["a"], "tags": [["z"]]}, ["text", "tags"]))
    assert str(error.value).startswith("tags: 'z' is not among the labels of the training rows (row 0).")


@pytest.mark.parametrize("codec", [text_codec(), text_codec(subwords=0), number_codec()])
def test_round_trip(codec):
    assert ClassifyCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("fine film", "item: 'fine film' is 2 tokens, want one: feed model.codec.tokens(text) in order."),
        ("  ", "item: '  ' is 0 tokens, want one: feed model.codec.tokens(text) in order."),
        (5, "item: got 5, want text: one token at a time."),
    ],
)
def test_live_texts_that_do_not_fit(item, message):
    with pytest.raises(StreamError) as error:
        text_codec().encode_item(item)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([1.0], "item: got [1.0], want 2 numbers."),
        ("ab", "item: got 'ab', want 2 numbers."),
        (None, "item: got None, want 2 numbers."),
        ({"x": 1.0}, "item: no column 'y' in {'x': 1.0}."),
        ([1.0, math.inf], "item: got [1.0, inf], want finite numbers (missing: None or NaN)."),
    ],
)
def test_live_numbers_that_do_not_fit(item, message):
    with pytest.raises(StreamError) as error:
        number_codec().encode_item(item)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1, 2]], "y": [[1]]}, "values: columns of different lengths: 'x' has 2, 'y' has 1 (row 0)."),
        ({"x": [5], "y": [[1]]}, "x: got 5, want a list of numbers (row 0)."),
        ({"x": [[]], "y": [[]]}, "x: got [], want a list of numbers (row 0)."),
        ({"x": [["a"]], "y": [[1]]}, "x: want numbers, as many at every step (row 0)."),
        ({"x": [[math.inf]], "y": [[1]]}, "x: holds an infinite number (row 0)."),
        ({"x": [[[[1]]]], "y": [[1]]}, "x: got shape [1, 1, 1], want [T] or [T, C] (row 0)."),
        ({"x": [[[1, 2]]], "y": [[1]]}, "x: got 3 numbers a step, want 2 (row 0)."),
    ],
)
def test_numbers_that_do_not_fit(columns, message):
    with pytest.raises(DataError) as error:
        number_codec().encode(records(columns, ["x", "y"]))
    assert str(error.value) == message


def test_labels_that_do_not_fit():
    with pytest.raises(DataError) as error:
        text_codec().target(records({"label": ["good", "goood"]}, ["label"]))
    assert str(error.value) == (
        "label: 'goood' is not among the labels of the training rows (row 1). Did you mean 'good'?"
    )
    with pytest.raises(DataError) as error:
        fit_labels(records({"label": ["a", "a"]}, ["label"]), "label", False)
    assert str(error.value) == (
        "label: every training row is labelled 'a': want at least 2 different labels."
    )
    with pytest.raises(DataError) as error:
        fit_labels(records({"label": [["a"], "b"]}, ["label"]), "label", True)
    assert str(error.value) == "label: got 'b', want a list of labels (row 1)."


def test_foreign_bundles():
    plain = text_codec().to_json()
    for broken in ({}, plain | {"reader": {"kind": "sound"}}, plain | {"reader": {"kind": "text"}}):
        with pytest.raises(BundleError):
            ClassifyCodec.from_json(broken)
    numbers = number_codec().to_json()
    numbers["reader"]["mean"] = []
    with pytest.raises(BundleError) as error:
        ClassifyCodec.from_json(numbers)
    assert str(error.value) == "codec: values: want one mean and one spread for each channel."


def test_settings_of_the_cut():
    from statewise.rows.classify_text import check_cut

    with pytest.raises(ConfigError) as error:
        check_cut(0, "head")
    assert str(error.value) == "max_length: got 0, want a whole number of at least 1."
    with pytest.raises(ConfigError) as error:
        check_cut(5, "heads")
    assert str(error.value) == "keep: no such keep 'heads'. Did you mean 'head'?"
