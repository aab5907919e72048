"""Scores of translators beside the source copied and a word-by-word lexicon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from statewise.evaluation.lexicon import Lexicon, words_of
from statewise.evaluation.score_report import MODEL, Metric, ScoreReport, Values, merged
from statewise.metrics.translation import bleu, chrf
from statewise.models.translate import TranslateModel
from statewise.rows.cells import texts
from statewise.rows.text.words import join
from statewise.tasks.translate import Translate

COPY, LEXICON = "copy the source", "word by word"
_METRICS = (Metric("bleu", decimals=1), Metric("chrf", decimals=1))


def evaluate_translator(models: Sequence[TranslateModel], data: Any, train: Any) -> ScoreReport:
    """BLEU and chrF of beam search with its default settings; the notes tell sacreBLEU's signature.

    A source text that stands in several rows counts once, with all its targets as references.
    """
    task = models[0].task
    sources, references = references_of(task, data)
    parts = [_scores(task, model.predict(sources), references) for model in models]
    systems: dict[str, Mapping[str, Values]] = {MODEL: merged(parts)}
    if train is not None:
        rows = task.rows(train, "train")
        answers = word_by_word(texts(rows, task.source), texts(rows, task.target), sources, task)
        systems[LEXICON] = merged([_plain(task, answers, references)])
    systems[COPY] = merged([_plain(task, copied(sources), references)])
    return ScoreReport("translate", len(sources), _METRICS, systems, _notes(task, sources, references))


def references_of(task: Translate, data: Any) -> tuple[list[str], list[list[str]]]:
    """Every source text of `data` once, and all its targets. Raises DataError."""
    rows = task.rows(data)
    found: dict[str, list[str]] = {}
    for source, target in zip(*(texts(rows, name) for name in (task.source, task.target)), strict=True):
        found.setdefault(source, []).append(target)
    return list(found), list(found.values())


def copied(sources: Sequence[str]) -> list[str]:
    """The source as it is: what names, numbers and like words alone are worth."""
    return list(sources)


def word_by_word(
    sources: Sequence[str], targets: Sequence[str], asked: Sequence[str], task: Translate | None = None
) -> list[str]:
    """Texts `asked`, each word replaced by its likeliest translation in the training pairs."""
    task = task or Translate()

    def words(text: str) -> list[str]:
        return words_of(text, pretokenized=task.pretokenized, lowercase=task.lowercase)

    lexicon = Lexicon.fit([words(text) for text in sources], [words(text) for text in targets])
    put = " ".join if task.pretokenized else join
    return [put(lexicon.translate(words(text))) for text in asked]


def _scores(task: Translate, answers: Sequence[Mapping[str, Any]], references: Any) -> dict[str, float]:
    return _plain(task, [answer[task.target] for answer in answers], references)


def _plain(task: Translate, answers: Sequence[str], references: Any) -> dict[str, float]:
    score = bleu(answers, references, lowercase=task.lowercase, tokenize=_tokenize(task)).score
    return {"bleu": score, "chrf": chrf(answers, references, lowercase=task.lowercase).score}


def _tokenize(task: Translate) -> str:
    """Texts whose tokens stand between spaces are counted as they are."""
    return "none" if task.pretokenized else "13a"


def _notes(task: Translate, sources: Sequence[str], references: Any) -> tuple[str, ...]:
    how = bleu(sources, references, lowercase=task.lowercase, tokenize=_tokenize(task)).signature
    return (f"BLEU: {how}", "Figures with another signature cannot be compared.")
