"""What one reader knows taken in by another: its own numbers stay, and the rest comes after them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from statewise.rows.records import records
from statewise.rows.tag import TagCodec, fit_codec
from statewise.rows.text import tokenizers
from statewise.rows.text.n_grams import NGrams
from statewise.rows.text.tokenizers import TokenizerConfig, items, widened
from statewise.rows.text.vocabulary import SPECIALS, Vocabulary
from statewise.rows.text.word_features import WordFeatures, WordSettings
from statewise.rows.translate import fit_codec as fit_translation

ONE, OTHER = ["the cat sat", "a cat"], ["the dog ran far", "naïve dog"]


def test_a_vocabulary_keeps_its_numbers() -> None:
    few, more = Vocabulary.fit([["b", "a"]], specials=SPECIALS[:2]), Vocabulary.fit([["c", "a"]])
    both = few.widened(more)
    assert both.items == ("<pad>", "<unk>", "a", "b", "c")  # no mark of an end that it does not have
    assert both.widened(few) == both


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_a_tokenizer_knows_both_and_reads_its_own_texts_as_before(kind: str) -> None:
    one, other = (tokenizers.fit(texts, TokenizerConfig(kind)) for texts in (ONE, OTHER))
    both = widened(one, other)
    assert [both.encode(text) for text in ONE] == [one.encode(text) for text in ONE]
    assert set(items(both)) == {*items(one), *items(other)}
    assert both.decode(both.encode(OTHER[1])) == OTHER[1]


def test_texts_that_are_read_in_another_way_are_no_use() -> None:
    one = tokenizers.fit(ONE, TokenizerConfig("words"))
    for config in (TokenizerConfig("words", lowercase=True), TokenizerConfig("characters")):
        assert widened(one, tokenizers.fit(OTHER, config)) is one


def test_byte_pairs_are_those_of_the_other() -> None:
    pytest.importorskip("tokenizers")
    one, other = (tokenizers.fit(texts, TokenizerConfig("bpe", max_size=270)) for texts in (ONE, OTHER))
    assert widened(one, other) is other
    lower = tokenizers.fit(OTHER, TokenizerConfig("bpe", max_size=270, lowercase=True))
    assert widened(one, lower) is one


def test_runs_of_tokens_stay_what_they_were() -> None:
    texts = [np.array([4, 5, 6, 4, 5]), np.array([6, 4, 5])]
    runs = NGrams.fit(texts, 3, 7)
    wider = runs.widened(9)
    for ids in texts:
        before, after = runs.numbers(ids), wider.numbers(ids)
        np.testing.assert_array_equal(after, before + np.where(before >= 7, 2, 0))
    assert wider.size == runs.size + 2
    assert NGrams.from_json(wider.to_json()) == wider


def test_words_come_with_their_affixes_and_letters_but_without_a_count() -> None:
    settings = WordSettings(affixes=2, min_affix_count=1)
    one = WordFeatures.fit([["The", "cat"]], settings)
    other = WordFeatures.fit([["the", "Zoo9"]], replace(settings, affixes=1))
    both = one.widened(other)
    np.testing.assert_array_equal(both.row("cat"), one.row("cat"))
    assert both.words.items == (*one.words.items, "zoo0")
    assert both.counts == (*one.counts, 0)
    assert [len(each) for each in both.features] == [
        len(mine) + more for mine, more in zip(one.features, (1, 1, 0, 1, 0), strict=True)
    ]
    assert {"Z", "o", "9"} <= set(both.letters.items)
    assert WordFeatures.from_json(both.to_json()) == both


def test_a_tagger_takes_in_further_columns_by_name_and_keeps_its_labels() -> None:
    def codec(tokens: list[str], pos: list[str], labels: list[str], name: str) -> TagCodec:
        rows = records({"tokens": [tokens], name: [pos], "labels": [labels]}, ("tokens", "labels", name))
        return fit_codec(rows, ("tokens", "labels"), "auto", WordSettings(), (name,))

    one = codec(["a", "b"], ["X", "Y"], ["p", "q"], "pos")
    both = one.widened(codec(["c", "b"], ["Z", "Y"], ["q", "r"], "pos"))
    assert both.extras[0].items == ("<pad>", "<unk>", "X", "Y", "Z")
    assert both.names == ["p", "q"]
    assert one.widened(codec(["c", "b"], ["Z", "Y"], ["q", "r"], "other")).extras == one.extras
    assert TagCodec.from_json(both.to_json()) == both


def test_lengths_of_translations_are_measured_again() -> None:
    pytest.importorskip("tokenizers")
    rows = records({"s": ["aa bb", "aa"], "t": ["cc dd cc", "cc"]}, ("s", "t"))
    config = TokenizerConfig("bpe", max_size=262)
    one = fit_translation(rows, ("s", "t"), config, shared=True, max_length=50)
    wide = records({"s": ["cc dd cc"] * 9, "t": ["aa bb cc dd"] * 9}, ("s", "t"))
    other = fit_translation(
        wide, ("s", "t"), TokenizerConfig("bpe", max_size=300), shared=True, max_length=50
    )
    both = one.widened(other).measured(rows)
    assert both.target == both.source == other.source
    assert both.longest == max(len(both.target.encode(text)) for text in rows["t"]) < one.longest
    apart = fit_translation(rows, ("s", "t"), config, shared=False, max_length=50)
    assert apart.widened(other) is apart
