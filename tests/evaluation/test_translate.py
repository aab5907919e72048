"""Scores of translators beside their baselines, the lexicon, the picture of an alignment."""

from __future__ import annotations

from pathlib import Path

import pytest
from translate_rows import numerals, taught, untaught

from statewise.core.errors import ConfigError
from statewise.evaluation.alignment import draw_alignment
from statewise.evaluation.evaluate import evaluate
from statewise.evaluation.lexicon import Lexicon
from statewise.evaluation.translate import COPY, LEXICON, references_of, word_by_word
from statewise.tasks.translate import Translate

pytest.importorskip("sacrebleu")


def test_a_model_stands_beside_lexicon_and_copy() -> None:
    report = evaluate(taught(), numerals(40, seed=5), train=numerals(300))
    assert report.value("bleu") > report.value("bleu", LEXICON) > report.value("bleu", COPY)
    assert report.verdict.startswith("The model beats the best baseline (word by word)")
    assert "nrefs:" in str(report)
    assert "tok:13a" in str(report)


def test_without_training_rows_only_the_copy_is_there() -> None:
    report = evaluate([untaught(), untaught("summary")], numerals(10, seed=5))
    assert set(report.systems) == {"model", COPY}
    assert len(report.systems["model"]["bleu"]) == 2


def test_a_source_with_several_targets_counts_once() -> None:
    rows = {"source": ["eins", "zwei", "eins"], "target": ["one", "two", "a one"]}
    assert references_of(Translate(), rows) == (["eins", "zwei"], [["one", "a one"], ["two"]])


def test_the_lexicon_finds_which_word_stands_for_which() -> None:
    sources = [["das", "haus"], ["das", "buch"], ["ein", "buch"]]
    targets = [["the", "house"], ["the", "book"], ["a", "book"]]
    lexicon = Lexicon.fit(sources, targets)
    assert lexicon.best == {"das": "the", "haus": "house", "buch": "book", "ein": "a"}
    assert lexicon.translate(["ein", "haus", "Rex"]) == ["a", "house", "Rex"]
    assert Lexicon.fit([], []).translate(["x"]) == ["x"]
    texts = ["das Haus", "das Buch", "ein Buch"], ["the house", "the book", "a book"]
    assert word_by_word(*texts, ["ein Haus!"]) == ["a house!"]


def test_the_alignment_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (found,) = untaught().translations(["eins zwei drei"])[0]
    path = draw_alignment(found, tmp_path / "new" / "looked.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_model_without_attention_has_nothing_to_draw(tmp_path: Path) -> None:
    (found,) = untaught("summary").translations(["eins"])[0]
    with pytest.raises(ConfigError) as error:
        draw_alignment(found, tmp_path / "looked.png")
    assert str(error.value) == ("alignment: the model has no attention: train it with attention='additive'.")
