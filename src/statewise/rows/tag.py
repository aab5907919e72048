"""Sentences and their labels to numbers and back, for a tagger: without torch, plain values in the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError, DataError, StreamError, shown
from statewise.rows.cells import aligned, tokens
from statewise.rows.records import Records
from statewise.rows.text.labels import Labels
from statewise.rows.text.platt import AS_THEY_ARE, Platt
from statewise.rows.text.spans import (
    OUTSIDE,
    Scheme,
    are_spans,
    scheme_labels,
    scheme_of,
    to_bio,
    to_bioes,
    types_of,
)
from statewise.rows.text.vocabulary import SPECIALS, Vocabulary
from statewise.rows.text.word_features import WordFeatures, WordSettings, WordSizes, normal
from statewise.rows.word_vectors import WordVectors

Learned = Literal["none", "bio", "bioes"]
_KEYS = {"words", "tokens", "label", "labels", "learned", "given", "features", "extras", "vectors"} | {
    "vector_size",
    "threshold",
    "platt",
}


@dataclass(frozen=True)
class TagCodec:
    """What a tagger reads off words, its labels, and how it decides; fitted on training rows.

    `learned` is the scheme of the labels that the network knows, `given` that of the rows and of answers
    ("none": labels that stand alone). With a `threshold` spans of at least that probability are answered,
    the likeliest first; at 0 the best label sequence. `platt` corrects the probabilities of spans.
    """

    words: WordFeatures
    tokens: str  # the columns
    label: str
    labels: Labels
    learned: Learned
    given: Learned
    features: tuple[str, ...] = ()  # further columns, read beside the words
    extras: tuple[Vocabulary, ...] = ()  # of each of them
    vectors: Vocabulary | None = None  # words that vectors were given for
    vector_size: int = 0
    threshold: float = 0.0
    platt: Platt = AS_THEY_ARE  # of span probabilities

    @property
    def size(self) -> int:
        """Whole numbers per word."""
        return self.words.size + len(self.features) + (self.vectors is not None)

    @property
    def sizes(self) -> WordSizes:
        """The sizes of all vocabularies."""
        given = 0 if self.vectors is None else len(self.vectors)
        extras = tuple(map(len, self.extras))
        return replace(self.words.sizes, extras=extras, vectors=given, vector_size=self.vector_size)

    def encode(
        self, sentences: Sequence[Sequence[str]], features: Sequence[Sequence[Sequence[str]]] = ()
    ) -> list[NDArray[np.int64]]:
        """Every sentence as rows [T, size]; `features` are the further columns, sentence by sentence."""
        rows = [self.words.encode(sentence) for sentence in sentences]
        for vocabulary, column in zip(self.extras, features, strict=True):
            more = [np.array(vocabulary.encode(each), dtype=np.int64) for each in column]
            rows = [np.column_stack(pair) for pair in zip(rows, more, strict=True)]
        if self.vectors is None:
            return rows
        given = [np.array(self._given(sentence), dtype=np.int64) for sentence in sentences]
        return [np.column_stack(pair) for pair in zip(rows, given, strict=True)]

    def widened(self, other: TagCodec) -> TagCodec:
        """The codec that also knows the words, affixes, letters and features of `other`."""
        theirs = dict(zip(other.features, other.extras, strict=True))
        extras = tuple(
            vocabulary.widened(theirs.get(name, vocabulary))
            for name, vocabulary in zip(self.features, self.extras, strict=True)
        )
        return replace(self, words=self.words.widened(other.words), extras=extras)

    def _given(self, words: Sequence[str]) -> list[int]:
        """The numbers of words among those with a given vector."""
        return [] if self.vectors is None else self.vectors.encode(normal(word) for word in words)

    def target(self, labels: Sequence[Sequence[str]], place: Callable[[int], str]) -> list[NDArray[np.int64]]:
        """The learned labels' numbers of every sentence. DataError for one the training rows do not have."""
        converted = as_learned(labels, self.learned, self.label, place)
        return [
            self.labels.encode(row, self.label, lambda _, at=number: place(at))  # type: ignore[misc]
            for number, row in enumerate(converted)
        ]

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """The labels of numbers, in the scheme of the rows."""
        names = [str(name) for name in self.labels.decode(numbers)]
        if self.learned == self.given:
            return names
        return to_bio(names) if self.given == "bio" else to_bioes(names)

    @cached_property
    def names(self) -> list[str]:
        """The learned labels in order."""
        return [str(name) for name in self.labels.names]

    @cached_property
    def shown(self) -> tuple[list[str], NDArray[np.int64]]:
        """The labels that probabilities are told of, and which of them each learned label [K] counts for.

        Where rows are BIO and BIOES is learned, "B-x" is what begins and what stands alone.
        """
        names = self.names
        if (self.learned, self.given) != ("bioes", "bio"):
            return names, np.arange(len(names))
        plain = scheme_labels(types_of(names), "bio")
        meant = {"B": "B", "S": "B", "I": "I", "E": "I"}
        places = [plain.index(n if n == OUTSIDE else f"{meant[n[0]]}{n[1:]}") for n in names]
        return plain, np.array(places, dtype=np.int64)

    def told(self, probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities [..., K] of learned labels as those of the labels that are told of."""
        names, places = self.shown
        counts = places[:, None] == np.arange(len(names))  # [K, G]
        return np.asarray(probabilities.astype(np.float64) @ counts.astype(np.float64))

    def encode_item(self, item: Any) -> tuple[NDArray[np.int64]]:
        """One word of a live session as a row [size]; with further columns {"tokens": word, "pos": …}.

        Raises StreamError for what is no word.
        """
        if not self.features:
            word = self._text(item, self.tokens)
            return (np.array([*self.words.row(word), *self._given([word])], dtype=np.int64),)
        columns = (self.tokens, *self.features)
        if not isinstance(item, Mapping) or set(item) != set(columns):
            raise StreamError(f"{self.tokens}: got {shown(item)}, want a mapping with {', '.join(columns)}.")
        word, *more = (self._text(item[name], name) for name in columns)
        numbers = [vocabulary.encode([text])[0] for vocabulary, text in zip(self.extras, more, strict=True)]
        return (np.array([*self.words.row(word), *numbers, *self._given([word])], dtype=np.int64),)

    @staticmethod
    def _text(value: Any, name: str) -> str:
        if not isinstance(value, str) or not value:
            raise StreamError(f"{name}: got {shown(value)}, want one word as text.")
        return value

    def decode_output(self, output: NDArray[Any]) -> dict[str, Any]:
        """Log probabilities [K] of one word: its label so far, how likely it is, and all probabilities."""
        probabilities = self.told(np.exp(np.asarray(output, dtype=np.float64)))
        best = int(np.argmax(probabilities))
        names = self.shown[0]
        return {
            "label": names[best],
            "probability": float(probabilities[best]),
            "probabilities": dict(zip(names, probabilities.tolist(), strict=True)),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal codec."""
        return {
            "words": self.words.to_json(),
            "tokens": self.tokens,
            "label": self.label,
            "labels": self.labels.to_json(),
            "learned": self.learned,
            "given": self.given,
            "features": list(self.features),
            "extras": [vocabulary.to_json() for vocabulary in self.extras],
            "vectors": None if self.vectors is None else self.vectors.to_json(),
            "vector_size": self.vector_size,
            "threshold": self.threshold,
            "platt": list(self.platt),
        }

    @staticmethod
    def from_json(plain: Any) -> TagCodec:
        """The codec `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != _KEYS:
            raise BundleError(f"codec: want a table of {', '.join(sorted(_KEYS))}.")
        if not all(isinstance(plain[name], str) for name in ("tokens", "label")):
            raise BundleError("codec: want the names of two columns.")
        schemes = ("none", "bio", "bioes")
        if plain["learned"] not in schemes or plain["given"] not in schemes:
            raise BundleError(f"codec: got scheme {plain['learned']!r}, want none, bio or bioes.")
        threshold = plain["threshold"]
        if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
            raise BundleError(f"codec: got threshold {threshold!r}, want a number from 0 to below 1.")
        platt = plain["platt"]
        if not isinstance(platt, list) or [type(each) for each in platt] != [float] * 2 or not platt[0] > 0:
            raise BundleError(f"codec: got platt {platt!r}, want a slope above 0 and a shift.")
        vector_size = plain["vector_size"]
        if type(vector_size) is not int or (vector_size > 0) != (plain["vectors"] is not None):
            raise BundleError(f"codec: got vectors of size {vector_size!r}, want one above 0, or no vectors.")
        features, extras = plain["features"], plain["extras"]
        if not isinstance(features, list) or not isinstance(extras, list) or len(features) != len(extras):
            raise BundleError("codec: want one vocabulary for every further column.")
        return TagCodec(
            WordFeatures.from_json(plain["words"]),
            plain["tokens"],
            plain["label"],
            Labels.from_json(plain["labels"]),
            plain["learned"],
            plain["given"],
            tuple(features),
            tuple(Vocabulary.from_json(each) for each in extras),
            None if plain["vectors"] is None else Vocabulary.from_json(plain["vectors"]),
            vector_size,
            float(threshold),
            Platt(*map(float, platt)),
        )


def fit_codec(
    rows: Records,
    columns: tuple[str, str],
    scheme: str,
    settings: WordSettings,
    features: Sequence[str] = (),
) -> TagCodec:
    """The codec of training rows; `columns` are those of tokens and labels. Raises DataError."""
    sentences, labels = aligned(rows, *columns, "tag")
    given, learned = schemes(labels, scheme, columns[1])
    converted = as_learned(labels, learned, columns[1], rows.place)
    fitted = Labels.fit([label for row in converted for label in row], columns[1])
    if learned != "none":
        fitted = _whole_scheme(fitted, learned)
    if len(fitted) < 2:
        only = shown(fitted.names[0])
        raise DataError(f"{columns[1]}: every token is labelled {only}: want at least 2 different labels.")
    words, found = WordFeatures.fit(sentences, settings), features_of(rows, columns[0], features)
    extras = tuple(Vocabulary.fit(column, specials=SPECIALS[:2]) for column in found)
    return TagCodec(words, *columns, fitted, learned, given, tuple(features), extras)


def with_vectors(codec: TagCodec, vectors: WordVectors) -> TagCodec:
    """The codec of a tagger that also reads given word vectors; words are compared in lower case."""
    words = dict.fromkeys(normal(word) for word in vectors.words)
    known = Vocabulary((*SPECIALS[:2], *(word for word in words if word not in SPECIALS)))
    return replace(codec, vectors=known, vector_size=vectors.size)


def aligned_vectors(codec: TagCodec, vectors: WordVectors) -> NDArray[np.float32]:
    """The given vectors [V, D] in the order of the codec; of words that are one in lower case the first."""
    known = codec.vectors.index if codec.vectors is not None else {}
    made = np.zeros((codec.sizes.vectors, vectors.size), dtype=np.float32)
    for word, vector in zip(reversed(vectors.words), reversed(vectors.values), strict=True):
        if normal(word) in known:
            made[known[normal(word)]] = vector
    made[:2] = 0.0  # padding, and words without a vector
    return made


def features_of(rows: Records, words: str, features: Sequence[str]) -> list[list[list[str]]]:
    """The further columns, as long as the column `words`. Raises DataError."""
    return [aligned(rows, words, name, name)[1] for name in features]


def schemes(labels: Sequence[Sequence[str]], scheme: str, column: str) -> tuple[Learned, Learned]:
    """The scheme that labels are in, and the one to learn. DataError where `scheme` does not fit them."""
    names = {label for row in labels for label in row}
    if scheme == "none" or (scheme == "auto" and not are_spans(names)):
        return "none", "none"
    if not are_spans(names):
        odd = shown(min(name for name in names if not are_spans([name]) and name != "O"))
        raise DataError(f"{column}: got {odd}, want 'O' or a type after B-, I-, E- or S-.")
    return scheme_of(names), "bioes" if scheme == "auto" else cast(Scheme, scheme)


def as_learned(
    labels: Sequence[Sequence[str]], learned: Learned, column: str, place: Callable[[int], str]
) -> list[list[str]]:
    """Labels in the scheme that is learned; what breaks a scheme's rules is read as conlleval reads it."""
    if learned == "none":
        return [list(row) for row in labels]
    convert = to_bio if learned == "bio" else to_bioes
    made = []
    for number, row in enumerate(labels):
        try:
            made.append(convert(row))
        except DataError as error:
            text = str(error).removeprefix("labels: ").removesuffix(".")
            raise DataError(f"{column}: {text} ({place(number)}).") from None
    return made


def sentences_of(
    rows: Records, codec: TagCodec, *, labelled: bool
) -> tuple[list[list[str]], list[list[str]]]:
    """The tokens of rows, and their labels where these are wanted. Raises DataError."""
    if labelled:
        return aligned(rows, codec.tokens, codec.label, "tag")
    return tokens(rows, codec.tokens), []


def _whole_scheme(fitted: Labels, learned: Scheme) -> Labels:
    """All labels of the scheme, those too that training rows do not hold: a type may only stand alone."""
    names = scheme_labels(types_of(str(name) for name in fitted.names), learned)
    counts = dict(zip(fitted.names, fitted.counts, strict=True))
    return Labels(tuple(names), tuple(counts.get(name, 0) for name in names))
