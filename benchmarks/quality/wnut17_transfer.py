"""WNUT 2017 with what other text teaches: own word vectors, and the parts of speech of our own tagger.

python -m benchmarks.quality.wnut17_transfer              the result; needs the run of ud_ewt, or repeats it
python -m benchmarks.quality.wnut17_transfer --validate   no look at the test sentences
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import text_data
from benchmarks.quality import ud_ewt
from benchmarks.quality.ud_ewt_vectors import texts as general
from benchmarks.quality.wnut17 import MEMBERS, PROTOCOL, main
from benchmarks.quality.wnut17 import STUDY as PLAIN
from benchmarks.recording import CACHE
from benchmarks.tagging import Columns, trained

from statewise.data.word_vectors import word_vectors
from statewise.models.loading import load_as
from statewise.models.tag import TagModel
from statewise.rows.text.word_features import normal
from statewise.rows.word_vectors import write_vectors
from statewise.tasks.tag import Tag

VECTORS = Path(
    "benchmarks/.cache/wnut17_transfer/vectors.txt"
)  # from the root of the project, as commands are
MADE: dict[str, Any] = {"size": 100, "min_count": 4, "window": 3}
SOURCE = """entities learned from the train sentences alone, but each token comes with the part of speech that
our own tagger of UD English EWT (benchmarks.quality.ud_ewt) gives it, and words have vectors (100 numbers, a
window of 3 words, not trained further) made beforehand without labels by `statewise.data.word_vectors`, of
WikiText-2's training articles, the English side of Tatoeba, and the train sentences of EWT and WNUT-17"""
TAGGER = CACHE / "wnut17_transfer" / "tagger.sw"

STUDY = replace(
    PLAIN,
    name="wnut17_transfer",
    what="WNUT-17 entities, span F1, own vectors from unlabelled text and own part-of-speech tagger",
    protocol=PROTOCOL.format(members=MEMBERS, source=SOURCE),
    task={**PLAIN.task, "vectors": str(VECTORS), "features": ["upos"]},
)


def texts() -> Iterator[list[str]]:
    """The words of every text that vectors are made of."""
    yield from general()
    for words in text_data.wnut17().train["tokens"]:
        yield [normal(word) for word in words]


def tagger() -> TagModel:
    """Our own tagger of parts of speech."""
    if not TAGGER.is_file():
        study, data = ud_ewt.STUDY, text_data.ewt()
        task, members = Tag(**study.task), ud_ewt.MEMBERS
        model, _ = trained(study.name, task, data.train, data.validation, study.settings, members)
        model.save(TAGGER)
    return load_as(TAGGER, TagModel, "wnut17_transfer")


def with_parts_of_speech(rows: Columns) -> Columns:
    """The rows, and what the tagger says of each token."""
    answers = tagger().predict(rows["tokens"])
    return {**rows, "upos": [answer["labels"] for answer in answers]}


if __name__ == "__main__":
    VECTORS.parent.mkdir(parents=True, exist_ok=True)
    if not VECTORS.is_file():
        write_vectors(VECTORS, word_vectors((text for text in texts() if text), **MADE))
    main(STUDY, __doc__, with_parts_of_speech)
