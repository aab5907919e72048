"""BLEU and chrF: worked cases, several references, signatures, errors."""

from __future__ import annotations

import math

import pytest

from statewise.core.errors import ConfigError, ShapeError
from statewise.metrics.translation import bleu, chrf

pytest.importorskip("sacrebleu")


def test_bleu_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; as long as the reference.
    score = bleu(["the cat sat on the mat"], ["the cat is on the mat"], tokenize="none")
    got = bleu(["a b c d e x"], ["a b c d y x"], tokenize="none").score
    precisions = (5 / 6, 3 / 5, 2 / 4, 1 / 3)
    assert got == pytest.approx(100 * math.prod(precisions) ** 0.25, abs=1e-6)
    assert score.signature.startswith("nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:")


def test_the_signature_tells_case_and_tokens() -> None:
    texts = ["A dog, a cat and a mouse."]
    assert bleu(texts, ["a dog, a cat and a mouse."], lowercase=True).score == pytest.approx(100)
    assert "case:lc" in bleu(texts, texts, lowercase=True).signature
    assert bleu(["a dog , a cat ."], ["a dog, a cat."]).score == pytest.approx(100)  # 13a splits signs
    assert bleu(["a dog , a cat ."], ["a dog, a cat."], tokenize="none").score < 50


def test_several_references() -> None:
    score = bleu(
        ["one two three four", "five six seven eight"],
        [["x", "one two three four"], ["five six seven eight"]],
    )
    assert score.score == pytest.approx(100)
    assert score.signature.startswith("nrefs:var|")
    assert chrf(["abc"], [["xyz", "abc"]]).score == pytest.approx(100)


def test_chrf_counts_letters() -> None:
    assert chrf(["Hund"], ["Hunde"]).score > chrf(["Katze"], ["Hunde"]).score
    assert "nw:2" in chrf(["a b"], ["a b"], word_order=2).signature


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError) as error:
        bleu(["a"], ["a", "b"])
    assert str(error.value) == (
        "translation score: got 1 hypotheses and 2 references, want as many of both, at least one."
    )
    with pytest.raises(ConfigError) as wrong:
        bleu(["a"], ["a"], tokenize="non")
    assert str(wrong.value) == "tokenize: no such tokenize 'non'. Did you mean 'none'?"
