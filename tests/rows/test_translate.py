"""The codec of a translator: both tokenisers, end marks, cuts, unknown words, plain values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from statewise.core.errors import BundleError, DataError
from statewise.rows.records import records
from statewise.rows.text.tokenizers import TokenizerConfig
from statewise.rows.translate import TranslateCodec, begun, ended, fit_codec

ROWS = {"de": ["ein hund", "der hund schläft", "ein hund"], "en": ["a dog", "the dog sleeps", "one dog"]}
COLUMNS = ("de", "en")


def codec(shared: bool = False, max_length: int = 10, **settings: object) -> TranslateCodec:
    config = TokenizerConfig("words", **settings)  # type: ignore[arg-type]
    return fit_codec(records(ROWS, COLUMNS), COLUMNS, config, shared=shared, max_length=max_length)


def test_sources_end_and_targets_have_no_marks() -> None:
    made = codec()
    (source,), (target,) = made.sources(["ein hund"]), made.targets(["a dog"])
    assert source.tolist() == [*made.source.encode("ein hund"), 3]
    assert target.tolist() == made.target.encode("a dog")
    assert begun(target).tolist() == [2, *target]
    assert ended(target).tolist() == [*target, 3]
    assert made.longest == 3
    assert [made.limit(tokens) for tokens in (1, 2)] == [2, 3]


def test_both_sides_may_share_a_vocabulary() -> None:
    made = codec(shared=True)
    assert made.source is made.target
    assert made.decode(made.sources(["ein dog"])[0]) == "ein dog"
    assert codec().source.size < made.source.size


def test_longer_texts_are_cut_and_counted() -> None:
    made = codec(max_length=2)
    assert made.sources(["der hund schläft"])[0].tolist() == [*made.source.encode("der hund"), 3]
    assert made.longest == 2
    assert made.cut(records(ROWS, COLUMNS)) == 1
    assert made.source_tokens("der hund schläft") == ["der", "hund", "<eos>"]


def test_unknown_words_are_replaced_in_order() -> None:
    made = codec(min_count=2)  # of the English side only "dog" is left
    ids = made.target.encode("a dog a")
    assert made.decode(ids) == "<unk> dog <unk>"
    assert made.decode(ids, ["Rex", "Bello"]) == "Rex dog Bello"
    assert made.decode(ids, ["<unk>", "x"]) == "<unk> dog x"
    assert made.decode(ids, ["Rex"]) == "Rex dog <unk>"
    assert made.target_tokens(ids) == ["<unk>", "dog", "<unk>", "<eos>"]


@pytest.mark.parametrize("shared", [False, True])
def test_plain_values_give_an_equal_codec(shared: bool) -> None:
    made = codec(shared)
    again = TranslateCodec.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert (again.source is again.target) is shared
    assert np.array_equal(again.sources(["ein hund"])[0], made.sources(["ein hund"])[0])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"columns": ["de"]}, "codec: want the names of two columns."),
        (
            {"longest": "3"},
            "codec: want whole numbers max_length, longest, room, and shared as true or false.",
        ),
        ({"target": {}}, "tokenizer: got kind None, want one of characters, words, bpe."),
    ],
)
def test_damaged_values_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(BundleError) as error:
        TranslateCodec.from_json({**codec().to_json(), **change})
    assert str(error.value) == text


def test_a_missing_text_is_named() -> None:
    rows = records({"de": ["ein hund", None], "en": ["a dog", "a cat"]}, COLUMNS)
    with pytest.raises(DataError) as error:
        fit_codec(rows, COLUMNS, TokenizerConfig(), shared=False, max_length=9)
    assert str(error.value) == "de: no text (row 1)."
