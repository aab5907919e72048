"""Scores of translations as sacreBLEU counts them (Post 2018), each with the signature that says how.

Figures with different signatures cannot be compared: the same texts differ by several points of BLEU between
tokenisations, and by some between lower-cased and true-cased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statewise.core.errors import ConfigError, MissingExtraError, ShapeError, lookup

References = Sequence[str] | Sequence[Sequence[str]]  # of every text one, or a list of them
TOKENIZATIONS = ("13a", "none", "intl", "char", "zh")  # those of sacreBLEU that need nothing else


@dataclass(frozen=True)
class TranslationScore:
    """A score in points from 0 to 100 and how it was counted."""

    score: float
    signature: str


def bleu(
    hypotheses: Sequence[str],
    references: References,
    *,
    lowercase: bool = False,
    tokenize: str = "13a",
) -> TranslationScore:
    """BLEU of a whole set (Papineni et al. 2002) against one or several references per text.

    `tokenize` is "13a" for running text, "none" for texts whose tokens stand between spaces. Needs sacreBLEU
    (extra "text"). Raises ShapeError, ConfigError.
    """
    lookup(dict.fromkeys(TOKENIZATIONS), tokenize, "tokenize")
    library = _library("BLEU")
    # force: no warning to standard error for texts that look tokenised; the signature tells what they are.
    metric = library.BLEU(lowercase=lowercase, tokenize=tokenize, force=True)
    return _scored(metric, hypotheses, references)


def chrf(
    hypotheses: Sequence[str], references: References, *, word_order: int = 0, lowercase: bool = False
) -> TranslationScore:
    """F-score of runs of characters (Popović 2015); with `word_order=2` chrF++, of words too."""
    if word_order < 0:
        raise ConfigError(f"word_order: got {word_order}, want 0 or more.")
    library = _library("chrF")
    return _scored(library.CHRF(word_order=word_order, lowercase=lowercase), hypotheses, references)


def _scored(metric: Any, hypotheses: Sequence[str], references: References) -> TranslationScore:
    lists = [[each] if isinstance(each, str) else list(each) for each in references]
    if len(hypotheses) != len(lists) or not hypotheses or not all(lists):
        got = f"{len(hypotheses)} hypotheses and {len(lists)} references"
        raise ShapeError(f"translation score: got {got}, want as many of both, at least one.")
    most = max(map(len, lists))
    # sacreBLEU wants one stream per reference; None where a text has fewer.
    streams = [[each[n] if n < len(each) else None for each in lists] for n in range(most)]
    found = metric.corpus_score(list(hypotheses), streams)
    return TranslationScore(float(found.score), str(metric.get_signature()))


def _library(what: str) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise MissingExtraError(what, "sacrebleu", "text") from None
    return metrics
