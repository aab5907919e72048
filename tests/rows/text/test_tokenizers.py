"""What every tokeniser must do, and the words, characters and parts each finds."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statewise.core.errors import BundleError, ConfigError, DataError, MissingExtraError
from statewise.rows.text import tokenizers
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.characters import Characters
from statewise.rows.text.tokenizers import TOKENIZERS, TokenizerConfig
from statewise.rows.text.words import Words, join, split

pytest.importorskip("tokenizers")

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log.",
    "A cat and a dog: naïve friends!",
    "  two  spaces\nand a line ",
]
CONFIGS = [
    TokenizerConfig("characters"),
    TokenizerConfig("words"),
    TokenizerConfig("words", lowercase=True, pretokenized=True, min_count=2),
    TokenizerConfig("bpe", max_size=300),
    TokenizerConfig("bpe", max_size=40, byte_level=False, lowercase=True),
]
BYTES = BytePairs.fit(TEXTS, max_size=300)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)))  # whatever UTF-8 can hold


def named(config: TokenizerConfig) -> str:
    return config.kind + "_lowercase" * config.lowercase


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_whatever_the_text_encoding_never_fails(config: TokenizerConfig) -> None:
    tokenizer = tokenizers.fit(TEXTS, config)
    for text in ["", " ", "\n", "中文 <eos> <pad> \0 \ud800 👩‍👩‍👧 e\u0301", "x" * 5000]:
        ids = tokenizer.encode(text)
        assert all(0 < number < tokenizer.size and number not in (2, 3) for number in ids)
        assert len(tokenizer.tokens(text)) == len(ids)
        assert isinstance(tokenizer.decode([0, 2, *ids, 3, 1]), str)
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_json_gives_an_equal_tokeniser(config: TokenizerConfig) -> None:
    tokenizer = tokenizers.fit(TEXTS, config)
    again = tokenizers.from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again == tokenizer
    for text in TEXTS:
        assert again.encode(text) == tokenizer.encode(text)
        assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_the_same_rows_give_the_same_tokeniser_in_any_order(config: TokenizerConfig) -> None:
    first, second = (tokenizers.fit(texts, config) for texts in (TEXTS, TEXTS[::-1]))
    assert first == second == tokenizers.fit(iter(TEXTS), config)


@given(ANY_TEXT)
@settings(max_examples=50)
def test_parts_of_bytes_lose_nothing(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text
    if text.isascii():
        assert "".join(BYTES.tokens(text)) == (f" {text}" if text else "")
    assert BYTES.sample(text, np.random.default_rng(0), 0.0) == BYTES.encode(text)
    sampled = BYTES.sample(text, np.random.default_rng(0), 0.5)
    assert BYTES.decode(sampled) == text


@given(ANY_TEXT)
def test_characters_lose_nothing_that_they_know(text: str) -> None:
    known = Characters.fit([text + "a"])
    assert known.decode(known.encode(text)) == text
    assert len(Characters.fit(["b"]).encode(text)) == len(text)


@given(st.lists(st.text("abcé.-'1", min_size=1), min_size=1))
def test_split_words_lose_nothing_that_they_know(words: list[str]) -> None:
    text = " ".join(words)
    known = Words.fit([text], pretokenized=True)
    assert known.decode(known.encode(f" {text}\n")) == text


def test_characters() -> None:
    tokenizer = Characters.fit(["abba", "c"], min_count=2)
    assert tokenizer.encode("abc") == [4, 5, 1]
    assert tokenizer.tokens("abc") == ["a", "b", "c"]
    assert tokenizer.decode([2, 4, 1, 3, 0]) == "a�"
    assert tokenizer.size == 6
    assert Characters.fit(["AbBa"], lowercase=True).encode("aB") == [4, 5]


def test_the_plain_splitter() -> None:
    text = (
        "Don't panic: it’s $3.50 (or 1,000 €), well-known_thing… d'accord? «Oui» 中文 हिन्दी e\u0301te\u0301."
    )
    found = [
        *["Don't", "panic", ":", "it’s", "$", "3.50", "(", "or", "1,000", "€", ")", ",", "well", "-"],
        *["known_thing", "…", "d'accord", "?", "«", "Oui", "»", "中文", "हिन्दी", "e\u0301te\u0301", "."],
    ]
    assert split(text) == found
    assert join(split("Well, (he said) it's fine!")) == "Well, (he said) it's fine!"


def test_words() -> None:
    tokenizer = Words.fit(["A b.", "a c."], lowercase=True, min_count=2)
    assert tokenizer.vocabulary.items[4:] == (".", "a")
    assert tokenizer.encode("A new b.") == [5, 1, 1, 4]
    assert tokenizer.tokens("A new b.") == ["a", "new", "b", "."]
    assert tokenizer.decode([2, 5, 1, 4, 3]) == "a <unk>."


def test_a_word_has_one_spelling_wherever_it_stands() -> None:
    tokenizer = BytePairs.fit(["low lower lowest low"] * 3, max_size=280)
    assert tokenizer.tokens("low low") == [" low", " low"]
    assert tokenizer.encode("low")[0] == tokenizer.encode("the low")[-1]
    assert tokenizer.decode(tokenizer.encode("low")) == "low"
    assert tokenizer.decode(tokenizer.encode(" low")) == " low"


def test_parts_of_characters_know_what_they_do_not_know() -> None:
    tokenizer = BytePairs.fit(["abab ab"], max_size=12, byte_level=False)
    assert tokenizer.decode(tokenizer.encode("ab  abab")) == "ab  abab"
    assert tokenizer.tokens("ab中") == [" ab", "<unk>"]
    assert tokenizer.encode("<unk>") != [1]


def test_dropout_gives_other_cuts_of_the_same_text_and_is_seeded() -> None:
    def sampled(seed: int, dropout: float) -> list[int]:
        return BYTES.sample("the cat sat on the mat", np.random.default_rng(seed), dropout)

    assert sampled(1, 0.0) == BYTES.encode("the cat sat on the mat")
    assert sampled(1, 0.3) == sampled(1, 0.3)
    assert len({tuple(sampled(seed, 0.3)) for seed in range(10)}) > 5
    assert len(sampled(1, 0.9)) > len(sampled(1, 0.1))


def test_settings_that_fit_no_tokeniser() -> None:
    cases: list[tuple[Any, str]] = [
        (lambda: TokenizerConfig("word"), "tokenizer: no such tokenizer 'word'. Did you mean 'words'?"),
        (lambda: TokenizerConfig(min_count=0), "min_count: got 0, want at least 1."),
        (lambda: TokenizerConfig(max_size=3), "max_size: got 3, want more than 4, or 0 for no limit."),
        (
            lambda: BytePairs.fit(TEXTS, max_size=100),
            "max_size: got 100, want at least 260 for byte-pair encoding.",
        ),
    ]
    for make, text in cases:
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value) == text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_nothing_to_learn_from(kind: str) -> None:
    with pytest.raises(DataError, match=r"^vocabulary: the training rows hold no item to learn from\.$"):
        tokenizers.fit(["", ""], TokenizerConfig(kind))


def test_damaged_values_are_refused() -> None:
    good = BYTES.to_json()
    cases: list[tuple[Any, str]] = [
        (None, "tokenizer: got kind None, want one of characters, words, bpe."),
        ({"kind": "syllables"}, "tokenizer: got kind 'syllables', want one of characters, words, bpe."),
        ({"kind": "words"}, "vocabulary: want a list of texts."),
        (good | {"lowercase": 1}, "tokenizer.lowercase: got 1, want true or false."),
        (good | {"merges": [[5]]}, "tokenizer.merges: want pairs of numbers of items."),
        (good | {"merges": [[5, 10**6]]}, "tokenizer.merges: want pairs of numbers of items."),
        (good | {"merges": [[5, 0]]}, "tokenizer.merges: want pairs that join to items."),
    ]
    for plain, text in cases:
        with pytest.raises(BundleError) as caught:
            tokenizers.from_json(plain)
        assert str(caught.value) == text


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError) as caught:
        BytePairs.fit(TEXTS, max_size=300)
    remedy = "pip install 'statewise[text]'"
    assert str(caught.value) == f"tokenizer='bpe' needs tokenizers, which is not installed: {remedy}"
