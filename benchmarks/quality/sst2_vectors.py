"""SST-2 with word vectors of our own, made of text without labels; see benchmarks.quality.sst2.

python -m benchmarks.quality.sst2_vectors              the result
python -m benchmarks.quality.sst2_vectors --validate   one seed, no look at the test sentences
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import text_data
from benchmarks.classifying import main
from benchmarks.quality.sst2 import STUDY as PLAIN

from statewise.data.word_vectors import word_vectors
from statewise.rows.word_vectors import write_vectors

VECTORS = Path("benchmarks/.cache/sst2_vectors/vectors.txt")  # from the root of the project, as commands are
SETTINGS = {"size": 150, "min_count": 5, "window": 5}
CORPORA = ("sst5.train", "mr.all", "subj.all", "cr.all", "mpqa.all")  # of sst_trec_mr; texts alone
RUN = 24  # letters and digits that two texts must share to count as overlapping

STUDY = replace(
    PLAIN,
    name="sst2_vectors",
    what="SST-2, accuracy, with own word vectors from unlabelled text",
    protocol=PLAIN.protocol
    + """ Unlike the plain run, the words have vectors (150 numbers, not trained further) made beforehand
    without labels by `statewise.data.word_vectors` (2.7 million words: WikiText-2's training articles, and
    the texts of the SST training sentences, MR, Subj, CR and MPQA; texts that share 24 letters in a row with
    a development or test sentence of SST are left out).""",
    task={**PLAIN.task, "vectors": str(VECTORS), "embedding_size": 100},
)


def make_vectors() -> None:
    """Write the vectors, unless they are there."""
    if not VECTORS.exists():
        VECTORS.parent.mkdir(parents=True, exist_ok=True)
        known = {word for text in text_data.sst2().train["text"] for word in text.split()}
        write_vectors(VECTORS, word_vectors(texts(), always=known, **SETTINGS))


def texts() -> Iterator[list[str]]:
    """The words of every text without a label, lower case; none that overlaps with a held-out sentence."""
    held = {run for part in ("dev", "test") for text in labelled(f"sst5.{part}") for run in runs(text)}
    own = {letters(text) for text in labelled("sst5.train")}
    for name in CORPORA:
        for text in labelled(name):
            if letters(text) in own or not held & runs(text):
                yield text.split()
    for line in text_data.wikitext2().train["text"]:
        if line.strip():
            yield line.lower().split()


def labelled(name: str) -> list[str]:
    """The texts of one file of sst_trec_mr, without their labels."""
    path: Path = text_data.folder("sst_trec_mr") / f"{name}.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[1].lower() for line in lines]


def letters(text: str) -> str:
    """What is left without spaces and signs, so that two ways of splitting words are one."""
    return "".join(filter(str.isalnum, text))


def runs(text: str) -> set[str]:
    """All runs of RUN letters; the whole of a shorter text."""
    plain = letters(text)
    return {plain[i : i + RUN] for i in range(max(1, len(plain) - RUN + 1))}


if __name__ == "__main__":
    data = text_data.sst2()
    make_vectors()
    main(STUDY, __doc__, data.train, data.validation, data.test)
