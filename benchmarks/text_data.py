"""The text data sets of the benchmarks, read from the folder that STATEWISE_DATA names; none is committed."""

from __future__ import annotations

import gzip
import lzma
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from statewise.rows.records import records

Columns = dict[str, list[Any]]
SENTIMENTS = ("negative", "positive")
QUESTIONS = ("description", "entity", "abbreviation", "human", "location", "number")


class Split(NamedTuple):
    """Rows to train on, to choose settings by, and to report; columns by name."""

    train: Columns
    validation: Columns
    test: Columns


class Sequences(NamedTuple):
    """Labelled sequences of numbers: each [T, D] of its own length, and its label."""

    values: list[np.ndarray]
    labels: list[str]


def folder(name: str) -> Path:
    """Where a data set lies. Stops the benchmark with one line when it is not there."""
    root = os.environ.get("STATEWISE_DATA")
    if not root:
        raise SystemExit(f"{name}: STATEWISE_DATA is not set: name the folder that holds the data sets.")
    path = Path(root) / name
    if not path.is_dir():
        raise SystemExit(f"{name}: {path} is not there: stage the data set first.")
    return path


def sst2() -> Split:
    """SST-2, whole sentences, official split 6,920 / 872 / 1,821: text (lower case, split words), label."""
    root = folder("sst_trec_mr")
    return Split(*(_labelled(root / f"sst2.{part}.tsv.gz", SENTIMENTS) for part in ("train", "dev", "test")))


def trec6(validation: int = 500, seed: int = 0) -> Split:
    """TREC-6, official 5,452 / 500: text, label; `validation` rows drawn from the training part by `seed`."""
    root = folder("sst_trec_mr")
    whole = _labelled(root / "trec6.train.tsv.gz", QUESTIONS)
    order = np.random.default_rng(seed).permutation(len(whole["text"]))
    held, rest = np.sort(order[:validation]), np.sort(order[validation:])
    return Split(taken(whole, rest), taken(whole, held), _labelled(root / "trec6.test.tsv.gz", QUESTIONS))


def multi30k(split: str, *, tokenised: bool = True) -> Columns:
    """Multi30k, task 1: columns de and en of one split.

    "train" 29,000, "val" 1,014, "test_2016_flickr" and "test_2017_flickr" 1,000, "test_2017_mscoco" 461.
    Tokenised: lower-cased Moses tokens; else as they were written. For research only, never hand them on.
    """
    root = folder("multi30k")
    name = f"tok/{split}.lc.norm.tok" if tokenised else f"raw/{split}"
    columns = {language: _lines(root / f"{name}.{language}.gz") for language in ("de", "en")}
    if len(columns["de"]) != len(columns["en"]):
        raise SystemExit(f"multi30k: {split} has {len(columns['de'])} de and {len(columns['en'])} en lines.")
    return columns


def tatoeba(validation: float = 0.02, test: float = 0.02, seed: int = 0) -> Split:
    """Tatoeba pairs: columns en and fr, 142,787 pairs, split by the English sentence.

    An English sentence has many translations: all of them lie in one part, so none is seen in training.
    """
    pairs = [line.split("\t") for line in _lines(folder("tatoeba") / "eng-fra.tsv.xz")]
    columns: Columns = {"en": [en for en, _ in pairs], "fr": [fr for _, fr in pairs]}
    sentences = sorted(set(columns["en"]))
    order = np.random.default_rng(seed).permutation(len(sentences))
    held, tested = round(validation * len(sentences)), round(test * len(sentences))
    part = {sentences[i]: 1 if rank < held else 2 for rank, i in enumerate(order[: held + tested])}
    places = np.array([part.get(en, 0) for en in columns["en"]])
    return Split(*(taken(columns, np.flatnonzero(places == number)) for number in range(3)))


def ewt() -> Split:
    """UD English EWT 2.16 (development snapshot), official split: tokens, upos; 12,544 / 2,001 / 2,077."""
    root = folder("ud_english_ewt")
    names = ("train.conllu.xz", "dev.conllu.gz", "test.conllu.gz")
    wanted = ("tokens", "upos", "xpos", "feats")
    return Split(*(records(root / f"en_ewt-ud-{name}", wanted).columns for name in names))


def wnut17() -> Split:
    """WNUT-17 entities, official split: tokens, labels (BIO, 6 types); 3,394 / 1,009 / 1,287 sentences."""
    root = folder("wnut17")
    parts = ("train", "dev", "test")
    return Split(*(records(root / f"{part}.conll.gz", ("tokens", "labels")).columns for part in parts))


def shakespeare(validation: float = 0.1) -> tuple[str, str]:
    """Tiny Shakespeare, 1,115,394 characters: the first 90 % to train on, the last 10 % to validate."""
    text = _text(folder("tiny_shakespeare") / "input.txt.gz")
    cut = int(len(text) * (1.0 - validation))
    return text[:cut], text[cut:]


def wikitext2() -> Split:
    """WikiText-2, words: column text, one row per line of the files, empty lines too.

    A line's words are split by spaces, rare ones are "<unk>" already; the end of every line counts as one
    token, `<eos>`: 2,088,628 / 217,646 / 245,569 tokens. The training articles come in another order than
    in the official file.
    """
    root = folder("wikitext2")
    names = ("wiki.train.tokens.xz", "wiki.valid.tokens.gz", "wiki.test.tokens.gz")
    return Split(*({"text": _lines(root / name)} for name in names))


def ucr(name: str, part: str) -> Sequences:
    """JapaneseVowels (270 / 370, 12 channels) or ItalyPowerDemand (67 / 1,029), part "TRAIN" or "TEST"."""
    lines = _lines(folder("ucr_uea") / f"{name}_{part}.ts.gz")
    start = next(i for i, line in enumerate(lines) if line.lower() == "@data") + 1
    values, labels = [], []
    for line in lines[start:]:
        *channels, label = line.split(":")
        values.append(np.array([[float(x) for x in channel.split(",")] for channel in channels]).T)
        labels.append(label)
    return Sequences(values, labels)


def series(name: str) -> tuple[Columns, float, Columns]:
    """A set of `ucr` as columns series and label: training rows, no validation share, test rows."""
    parts = [ucr(name, part) for part in ("TRAIN", "TEST")]
    train, test = ({"series": part.values, "label": part.labels} for part in parts)
    return train, 0, test


def taken(columns: Mapping[str, Sequence[Any]], rows: np.ndarray) -> Columns:
    """Some rows of columns."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def _labelled(path: Path, names: Sequence[str]) -> Columns:
    rows = [line.split("\t") for line in _lines(path)]
    return {"text": [text.strip() for _, text in rows], "label": [names[int(label)] for label, _ in rows]}


def _lines(path: Path) -> list[str]:
    return _text(path).removesuffix("\n").split("\n")


def _text(path: Path) -> str:
    content = path.read_bytes()
    unpacked = lzma.decompress(content) if path.suffix == ".xz" else gzip.decompress(content)
    return unpacked.decode("utf-8")
