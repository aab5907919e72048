"""Part of speech with word vectors of our own, made of text without labels; see benchmarks.quality.ud_ewt.

python -m benchmarks.quality.ud_ewt_vectors              the result; a run that was stopped goes on
python -m benchmarks.quality.ud_ewt_vectors --validate   no look at the test sentences
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import text_data
from benchmarks.quality.ud_ewt import MEMBERS, PROTOCOL, main
from benchmarks.quality.ud_ewt import STUDY as PLAIN

from statewise.data.word_vectors import word_vectors
from statewise.rows.text.word_features import normal
from statewise.rows.text.words import split
from statewise.rows.word_vectors import write_vectors

VECTORS = Path(
    "benchmarks/.cache/ud_ewt_vectors/vectors.txt"
)  # from the root of the project, as commands are
MADE: dict[str, Any] = {"size": 100, "min_count": 5, "window": 2}
SOURCE = """trained on the train sentences, with word vectors (100 numbers, a window of 2 words, not trained
further) made beforehand without labels by `statewise.data.word_vectors`, of WikiText-2's training articles,
the English side of Tatoeba and the train sentences"""
_CLITIC = re.compile(r"(n't|'(?:s|m|d|re|ve|ll))\b", re.IGNORECASE)

STUDY = replace(
    PLAIN,
    name="ud_ewt_vectors",
    what="UD English EWT 2.16, UPOS accuracy, with own word vectors from unlabelled text",
    protocol=PROTOCOL.format(members=MEMBERS, source=SOURCE),
    task={**PLAIN.task, "vectors": str(VECTORS)},
)


def texts() -> Iterator[list[str]]:
    """The words of every text, as the tagger knows them; clitics stand alone, as in the treebank."""
    for words in text_data.ewt().train["tokens"]:
        yield [normal(word) for word in words]
    for line in text_data.wikitext2().train["text"]:
        yield [normal(word) for word in line.split() if word != "<unk>"]
    for sentence in sorted(set(text_data.tatoeba().train["en"])):
        yield [normal(word) for part in _CLITIC.sub(r" \1", sentence).split() for word in _signs(part)]


def _signs(part: str) -> list[str]:
    return [part] if _CLITIC.fullmatch(part) else split(part)


if __name__ == "__main__":
    if not VECTORS.is_file():
        VECTORS.parent.mkdir(parents=True, exist_ok=True)
        write_vectors(VECTORS, word_vectors((text for text in texts() if text), **MADE))
    main(STUDY, __doc__)
