"""Labels of tokens that mean spans: BIO and BIOES, to spans and back, read as the scorer conlleval does.

"B-place I-place O" and "B-place E-place O" are one span of type "place". A label outside of a scheme's
rules starts a span where conlleval (Tjong Kim Sang and Buchholz 2000) sees one start: "I-place" after "O" or
after another type does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError, shown

OUTSIDE = "O"
Scheme = Literal["bio", "bioes"]
_PREFIXES = "BIES"
_CLOSED = ("O", "E", "S")  # after these nothing is open


class Span(NamedTuple):
    """Tokens `start` up to but not including `stop`, of one type."""

    start: int
    stop: int
    type: str


def are_spans(labels: Iterable[str]) -> bool:
    """Whether labels follow BIO or BIOES: "O", or a prefix with a type, and at least one "B-" or "I-"."""
    names = set(labels) - {OUTSIDE}
    return bool(names) and all(len(name) > 2 and name[0] in _PREFIXES and name[1] == "-" for name in names)


def scheme_of(labels: Iterable[str]) -> Scheme:
    """ "bioes" where some label is an end or a single, else "bio"."""
    return "bioes" if any(label[0] in "ES" and label != OUTSIDE for label in labels) else "bio"


def spans(labels: Sequence[str]) -> list[Span]:
    """The spans of one sentence's labels, in order. Raises DataError for a label that is none."""
    found: list[Span] = []
    start, kind_before, type_before = 0, OUTSIDE, ""
    for place, label in enumerate((*labels, OUTSIDE)):
        kind, type_now = _parts(label)
        if _ends(kind_before, kind, type_before, type_now):
            found.append(Span(start, place, type_before))
        if _starts(kind_before, kind, type_before, type_now):
            start = place
        kind_before, type_before = kind, type_now
    return found


def labels_of(found: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """The labels of a sentence of `length` tokens that holds the spans. DataError where two overlap."""
    labels = [OUTSIDE] * length
    for span in sorted(found):
        inside = range(span.start, span.stop)
        if any(not 0 <= place < length or labels[place] != OUTSIDE for place in inside):
            raise DataError(f"spans: {tuple(span)} overlaps another or leaves the {length} tokens.")
        for place in inside:
            labels[place] = f"{_prefix(span, place, scheme)}-{span.type}"
    return labels


def to_bioes(labels: Sequence[str]) -> list[str]:
    """The same spans in BIOES, whatever scheme they were in."""
    return labels_of(spans(labels), len(labels), "bioes")


def to_bio(labels: Sequence[str]) -> list[str]:
    """The same spans in BIO, whatever scheme they were in."""
    return labels_of(spans(labels), len(labels), "bio")


def types_of(labels: Iterable[str]) -> list[str]:
    """The types that labels name, in the order of the alphabet."""
    return sorted({label[2:] for label in labels if label != OUTSIDE})


def scheme_labels(types: Iterable[str], scheme: Scheme) -> list[str]:
    """Every label of a scheme: "O", then those of each type."""
    prefixes = "BI" if scheme == "bio" else "BIES"
    return [OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in prefixes)]


def legality(
    labels: Sequence[str], scheme: Scheme
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of what may start [K], follow (from, to) [K, K] and end [K] a sentence of `scheme`."""
    names = [*labels, OUTSIDE]  # a sentence lies between two outsides
    table = np.array([[_legal(_parts(a), _parts(b), scheme) for b in names] for a in names], dtype=bool)
    return table[-1, :-1], table[:-1, :-1], table[:-1, -1]


def _legal(before: tuple[str, str], after: tuple[str, str], scheme: Scheme) -> bool:
    inside = after[0] in ("I", "E")
    if scheme == "bio":
        return not inside or (before[0] in ("B", "I") and before[1] == after[1])
    is_open = before[0] in ("B", "I")
    return is_open == inside and (not inside or before[1] == after[1])


def _prefix(span: Span, place: int, scheme: Scheme) -> str:
    if scheme == "bio":
        return "B" if place == span.start else "I"
    if span.stop - span.start == 1:
        return "S"
    return "B" if place == span.start else "E" if place == span.stop - 1 else "I"


def _parts(label: str) -> tuple[str, str]:
    """ "B-place" is ("B", "place"); a prefix alone is a span of type ""."""
    kind, _, name = label.partition("-")
    if kind not in ("O", *_PREFIXES):
        raise DataError(f"labels: got {shown(label)}, want 'O' or a type after B-, I-, E- or S-.")
    return kind, name if kind != OUTSIDE else ""


def _ends(before: str, after: str, type_before: str, type_after: str) -> bool:
    """conlleval's endOfChunk: whether a span ends between two labels."""
    if before == OUTSIDE:
        return False
    return before in _CLOSED or after in ("B", "S", "O") or type_before != type_after


def _starts(before: str, after: str, type_before: str, type_after: str) -> bool:
    """conlleval's startOfChunk: whether a span starts at the second of two labels."""
    if after == OUTSIDE:
        return False
    return after in ("B", "S") or before in _CLOSED or type_before != type_after
