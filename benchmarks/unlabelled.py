"""Text without labels, read as the tagging benchmarks need it, and word vectors of our own made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import text_data
from statewise.data.word_vectors import casing, word_vectors
from statewise.rows.text.word_features import normal
from statewise.rows.text.words import split
from statewise.rows.word_vectors import write_vectors

VECTORS = Path("benchmarks/.cache/own_vectors/vectors.txt")  # from the root of the project, as commands are
NEAR: dict[str, Any] = {"size": 100, "min_count": 3, "window": 2}
WIDE: dict[str, Any] = {"size": 60, "min_count": 3, "window": 8}
SOURCE = """word vectors made beforehand without labels by `statewise.data.word_vectors`, not trained further
(100 numbers of a window of 2 words, 60 of a window of 8, and 3 that tell how often and how the texts write a
word: capital first, all in capitals), of the training parts of WikiText-2, EWT, WNUT-17, SST-2, TREC-6 and
the English sides of Multi30k and Tatoeba"""
_CLITIC = re.compile(r"(n't|'(?:s|m|d|re|ve|ll))\b", re.IGNORECASE)


def written() -> Iterator[list[str]]:
    """The words of every text that has capitals; clitics stand alone, as in the treebank."""
    yield from text_data.ewt().train["tokens"]
    for line in text_data.wikitext2().train["text"]:
        words = [word for word in line.split() if word != "<unk>"]
        if words and words[0] != "=":  # no headline
            yield words
    yield from map(_words, sorted(set(text_data.tatoeba().train["en"])))
    yield from text_data.wnut17().train["tokens"]
    yield from map(_words, text_data.multi30k("train", tokenised=False)["en"])


def lower() -> Iterator[list[str]]:
    """The words of every text that has none."""
    for data in (text_data.sst2(), text_data.trec6()):
        yield from (text.split() for text in data.train["text"])


def own_vectors() -> Path:
    """The file of the vectors, which is made when it is not there."""
    if not VECTORS.is_file():
        texts = [[normal(word) for word in words] for part in (written(), lower()) for words in part]
        near, wide = (word_vectors(texts, **made) for made in (NEAR, WIDE))
        VECTORS.parent.mkdir(parents=True, exist_ok=True)
        write_vectors(VECTORS, near.beside(wide.values, casing(written(), near.words)))
    return VECTORS


def _words(sentence: str) -> list[str]:
    return [word for part in _CLITIC.sub(r" \1", sentence).split() for word in _signs(part)]


def _signs(part: str) -> list[str]:
    return [part] if _CLITIC.fullmatch(part) else split(part)
