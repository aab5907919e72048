"""The codec of a tagger: fitted on training rows, exact in JSON, strict in what it takes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tag_rows import tag_rows

from statewise.core.errors import BundleError, DataError, StreamError
from statewise.rows.records import records
from statewise.rows.tag import TagCodec, aligned_vectors, fit_codec, with_vectors
from statewise.rows.text.word_features import WordSettings
from statewise.rows.word_vectors import WordVectors

COLUMNS = ("tokens", "labels")
KEYS = "extras features given label labels learned platt threshold tokens vector_size vectors words"


def fitted(rows: dict[str, list[Any]], scheme: str = "auto") -> TagCodec:
    return fit_codec(records(rows, COLUMNS), COLUMNS, scheme, WordSettings(affixes=2, letters=6))


def test_entities_are_learned_as_bioes_with_every_label_of_every_type() -> None:
    codec = fitted({"tokens": [["New", "York", "x"]], "labels": [["B-place", "I-place", "O"]]})
    assert (codec.given, codec.learned) == ("bio", "bioes")
    assert codec.names == ["O", "B-place", "I-place", "E-place", "S-place"]
    assert codec.labels.counts == (1, 1, 0, 1, 0)
    assert codec.decode([1, 3, 0]) == ["B-place", "I-place", "O"]  # as the rows have it


def test_labels_that_stand_alone() -> None:
    codec = fitted({"tokens": [["a", "cat"]], "labels": [["DET", "NOUN"]]})
    assert (codec.given, codec.learned) == ("none", "none")
    assert codec.decode([1, 0]) == ["NOUN", "DET"]
    forced = fitted(tag_rows(4), scheme="none")
    assert forced.learned == "none"
    assert "I-person" in forced.names


def test_a_scheme_of_ones_own() -> None:
    assert fitted(tag_rows(8), scheme="bio").names == [
        "O",
        "B-person",
        "I-person",
        "B-place",
        "I-place",
    ]
    bioes = {"tokens": [["New", "York", "x"]], "labels": [["B-a", "E-a", "S-a"]]}
    codec = fitted(bioes, scheme="bio")
    assert (codec.given, codec.learned) == ("bioes", "bio")
    assert codec.decode([1, 2, 1]) == ["B-a", "E-a", "S-a"]


def test_illegal_labels_are_read_as_conlleval_reads_them() -> None:
    rows = {"tokens": [["a", "b", "c"]], "labels": [["O", "I-x", "I-x"]]}
    codec = fitted(rows)
    (target,) = codec.target(rows["labels"], str)
    assert [codec.names[label] for label in target] == ["O", "B-x", "E-x"]


def test_a_sentence_is_its_words_one_by_one() -> None:
    codec = fitted(tag_rows(8))
    sentence = ["send", "Clara", "nothing"]
    (whole,) = codec.encode([sentence])
    np.testing.assert_array_equal(whole, [codec.encode_item(word)[0] for word in sentence])


def test_json_and_back_is_exact() -> None:
    codec = fitted(tag_rows(8))
    assert TagCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


def test_further_columns_are_read_beside_the_words() -> None:
    rows = {"tokens": [["a", "cat"]], "pos": [["DET", "NOUN"]], "labels": [["O", "B-x"]]}
    read = records(rows, ("tokens", "labels", "pos"))
    codec = fit_codec(read, COLUMNS, "auto", WordSettings(affixes=2, letters=6), ["pos"])
    (whole,) = codec.encode(rows["tokens"], [rows["pos"]])
    assert whole.shape == (2, codec.size)
    assert codec.extras[0].decode(whole[:, -1].tolist()) == ["DET", "NOUN"]
    items = [codec.encode_item({"tokens": w, "pos": p})[0] for w, p in (("a", "DET"), ("cat", "NOUN"))]
    np.testing.assert_array_equal(whole, items)
    assert TagCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec
    with pytest.raises(StreamError) as error:
        codec.encode_item("cat")
    assert str(error.value) == "tokens: got 'cat', want a mapping with tokens, pos."
    ragged = records({**rows, "pos": [["DET"]]}, ("tokens", "labels", "pos"))
    with pytest.raises(DataError) as data_error:
        fit_codec(ragged, COLUMNS, "auto", WordSettings(), ["pos"])
    assert str(data_error.value) == "pos: 1 label for 2 tokens (row 0)."


def test_given_vectors_stand_at_the_end_of_a_row() -> None:
    given = WordVectors(("Cat", "cat", "dog"), np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32))
    plain = fitted({"tokens": [["a", "cat"]], "labels": [["DET", "NOUN"]]})
    codec = with_vectors(plain, given)
    assert codec.size == plain.size + 1
    (whole,) = codec.encode([["CAT", "dog", "bird"]])
    np.testing.assert_array_equal(whole, [codec.encode_item(word)[0] for word in ["CAT", "dog", "bird"]])
    made = aligned_vectors(codec, given)
    assert made[whole[:, -1]].tolist() == [[1, 2], [5, 6], [0, 0]]
    assert TagCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


def test_probabilities_are_told_in_the_scheme_of_the_rows() -> None:
    codec = fitted({"tokens": [["New", "York", "x"]], "labels": [["B-a", "I-a", "O"]]})
    told = codec.decode_output(np.log(np.array([0.1, 0.2, 0.15, 0.25, 0.3])))
    assert told["label"] == "B-a"
    assert told["probability"] == pytest.approx(0.5)
    assert told["probabilities"] == pytest.approx({"O": 0.1, "B-a": 0.5, "I-a": 0.4})


@pytest.mark.parametrize("item", [None, "", 5, ["a"]])
def test_an_item_that_is_no_word(item: Any) -> None:
    with pytest.raises(StreamError, match=r"^tokens: got .*, want one word as text\.$"):
        fitted(tag_rows(4)).encode_item(item)


@pytest.mark.parametrize(
    ("rows", "scheme", "text"),
    [
        (
            {"tokens": [["a"], ["a", "b"]], "labels": [["O"], ["O"]]},
            "auto",
            "tag: 1 label for 2 tokens (row 1).",
        ),
        (
            {"tokens": [["a", "b"]], "labels": [["O", "O"]]},
            "auto",
            "labels: every token is labelled 'O': want at least 2 different labels.",
        ),
        (
            {"tokens": [["a", "b"]], "labels": [["NOUN", "O"]]},
            "bioes",
            "labels: got 'NOUN', want 'O' or a type after B-, I-, E- or S-.",
        ),
    ],
)
def test_rows_that_do_not_fit(rows: dict[str, list[Any]], scheme: str, text: str) -> None:
    with pytest.raises(DataError) as error:
        fitted(rows, scheme)
    assert str(error.value) == text


def test_a_label_that_training_rows_do_not_have() -> None:
    codec = fitted(tag_rows(8))
    with pytest.raises(DataError) as error:
        codec.target([["O"], ["B-thing"]], lambda row: f"row {row}")
    assert str(error.value).startswith(
        "labels: 'S-thing' is not among the labels of the training rows (row 1)."
    )
    with pytest.raises(DataError) as error:
        codec.target([["NOUN"]], lambda row: f"row {row}")
    assert str(error.value) == "labels: got 'NOUN', want 'O' or a type after B-, I-, E- or S- (row 0)."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"learned": "iob"},
            "codec: got scheme 'iob', want none, bio or bioes.",
        ),
        ({"threshold": 1.0}, "codec: got threshold 1.0, want a number from 0 to below 1."),
        ({"platt": [0.0, 1.0]}, "codec: got platt [0.0, 1.0], want a slope above 0 and a shift."),
        ({"tokens": 3}, "codec: want the names of two columns."),
        (
            {"more": 1},
            f"codec: want a table of {KEYS.replace(' ', ', ')}.",
        ),
    ],
)
def test_what_is_no_stored_codec(change: dict[str, Any], text: str) -> None:
    plain = {**fitted(tag_rows(4)).to_json(), **change}
    with pytest.raises(BundleError) as error:
        TagCodec.from_json(plain)
    assert str(error.value) == text
