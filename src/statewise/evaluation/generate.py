"""Scores of language models: surprisal, hits, keystrokes saved, beside n-grams and the most frequent item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError
from statewise.evaluation.ngram import NGram
from statewise.evaluation.score_report import MODEL, Metric, ScoreReport, merged
from statewise.metrics.language import bits_per_unit, hit_at_k, keystrokes_saved, perplexity, ranks
from statewise.models.generate import GenerateModel
from statewise.rows.generate import Corpus
from statewise.rows.text.characters import Characters

RANKED = 5_000  # items whose rank is looked at
TYPED = 500  # letters that are typed with suggestions
K = 3
_NGRAM_ORDERS = {True: 6, False: 3}  # by whether items are characters

Scores = dict[str, float]


def evaluate_generate(models: Sequence[GenerateModel], data: Any, train: Any = None) -> ScoreReport:
    """Perplexity, bits, hits and keystrokes saved on the rows of `data`, one value per model.

    With `train`, n-grams and the most frequent items of the training rows stand beside the models. Perplexity
    is per item, so only models of one tokeniser compare by it; bits are per character (per event of events).
    hit@k looks at RANKED items, the first ones of every sequence; `keys saved` types the first TYPED letters
    with K suggestions.
    Raises DataError (rows), ConfigError (models of different vocabularies).
    """
    first = models[0]
    if any(model.codec.to_json() != first.codec.to_json() for model in models):
        raise ConfigError("evaluate: got models of different vocabularies, want seeds of one.")
    sequences = first.task.sequences(first.task.rows(data))
    corpus = first.codec.corpus(sequences)
    systems: dict[str, Any] = {MODEL: merged([_scores(model, corpus, sequences) for model in models])}
    if train is not None:
        known = first.codec.corpus(first.task.sequences(first.task.rows(train, "train")))
        systems |= {name: merged([found]) for name, found in _baselines(first, known, corpus).items()}
    return ScoreReport("generate", corpus.tokens, _metrics(first), systems, _notes(first, corpus))


def typed(model: GenerateModel, text: str, k: int = K) -> float:
    """The share of keystrokes saved when `text` is typed with `k` suggestions.

    The writer takes a suggestion as soon as it is the word that is meant, for one key that also types the
    space after it, and never errs (Trnka and McCoy 2008).
    """
    board, keys, place = model.complete("", k), 0, 0
    while place < len(text):
        wanted = _rest_of_word(text, place)
        if not wanted or all(one.adds != wanted for one in board.suggestions):
            board.type(text[place])
            place += 1
        else:
            place += len(wanted) + (text[place + len(wanted) : place + len(wanted) + 1] == " ")
            board.type(text[len(board.text) : place])
        keys += 1
    return keystrokes_saved(keys, len(text))


def _rest_of_word(text: str, place: int) -> str:
    """The letters from `place` to the end of the word there."""
    end = place
    while end < len(text) and (text[end].isalnum() or text[end] in "'’_"):
        end += 1
    return text[place:end]


def _scores(model: GenerateModel, corpus: Corpus, sequences: Sequence[Any]) -> Scores:
    nats, places, each = [], [], _ranked(corpus)
    for ids in corpus.sequences:
        seen = 0
        for part, log_probs in model.readings(ids):
            nats.append(part)
            asked = ids[seen : min(seen + len(part), each)]
            places.append(ranks(log_probs[: len(asked)].numpy(), asked))
            seen += len(part)
    found = _told(np.concatenate(nats), corpus.letters, np.concatenate(places))
    if not model.codec.events and (text := "\n".join(sequences)[:TYPED]):
        found["keys saved"] = typed(model, text)
    return found


def _baselines(model: GenerateModel, known: Corpus, corpus: Corpus) -> Mapping[str, Scores]:
    size = model.codec.size
    order = _NGRAM_ORDERS[isinstance(model.codec.reader, Characters)]
    found = {}
    for name, n in (("most frequent", 1), (f"{order}-grams", order)):
        ngram = NGram(known.sequences, size, n)
        places = np.array([ranks(made, item) for made, item in _distributions(ngram, corpus)])
        found[name] = _told(ngram.nats(corpus.sequences), corpus.letters, places)
    return found


def _distributions(ngram: NGram, corpus: Corpus) -> Iterator[tuple[NDArray[np.float64], np.int64]]:
    """What n-grams expect at the first items, and these items."""
    for ids in corpus.sequences:
        for place, item in enumerate(ids[: _ranked(corpus)]):
            # One item more than an n-gram reads, so that a cut history does not look like a beginning.
            yield ngram.distribution(ids[max(place - ngram.order, 0) : place]), item


def _ranked(corpus: Corpus) -> int:
    """How many items of each sequence are ranked, from its beginning, so that all have a say."""
    return max(RANKED // len(corpus.sequences), 1)


def _told(nats: NDArray[np.float64], letters: int, places: NDArray[np.int64]) -> Scores:
    return {
        "perplexity": perplexity(nats),
        "bits": bits_per_unit(nats, letters),
        "hit@1": hit_at_k(places, 1),
        "hit@5": hit_at_k(places, 5),
    }


def _metrics(model: GenerateModel) -> tuple[Metric, ...]:
    shared = (Metric("perplexity", False, 2), Metric("bits", False), Metric("hit@1"), Metric("hit@5"))
    return shared if model.codec.events else (*shared, Metric("keys saved"))


def _notes(model: GenerateModel, corpus: Corpus) -> tuple[str, ...]:
    unit = "event" if model.codec.events else "character"
    notes = [f"bits are per {unit}; perplexity is per item."]
    if any(len(ids) > _ranked(corpus) for ids in corpus.sequences):
        notes.append(f"hit@k: the first {_ranked(corpus):,} items of every sequence.")
    if not model.codec.events:
        notes.append(f"keys saved: the first {TYPED} letters typed with {K} suggestions.")
    return tuple(notes)
