"""Sample rows and the answers the saver got: recorded into a bundle, replayed wherever it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from statewise.core.errors import BundleError, shown
from statewise.streaming.plain import plain
from statewise.streaming.stream import Stream

TOLERANCE = 1e-4
_REASON = "this machine computes the model differently from where it was saved."
Samples = tuple[dict[str, Any], ...]
Answer = Callable[[list[Any]], Sequence[Any]]  # rows to one answer each


def record(stream: Stream[Any], rows: Sequence[Any], answers: int = 2) -> Samples:
    """Feed `rows` to a fresh stream: [{"row": …, "answer": the output's numbers or None}, …], JSON-plain.

    The last `answers` rows get their answer; as the state carries all rows before, they stand for all.
    """
    samples = []
    for place, row in enumerate(rows):
        values = stream.update(row).values
        answer = _numbers(values) if place >= len(rows) - answers else None
        samples.append({"row": plain(row), "answer": answer})
    return tuple(samples)


def verify(stream: Stream[Any], samples: Iterable[Mapping[str, Any]], tolerance: float = TOLERANCE) -> None:
    """Feed the sample rows to a fresh stream and compare its answers with the saver's.

    `tolerance` is in scales of the stream. Raises BundleError when an answer differs or has another shape.
    """
    for number, sample in enumerate(samples, start=1):
        values = stream.update(sample["row"]).values
        if sample["answer"] is None:
            continue
        want = np.array(sample["answer"], dtype=np.float64)
        want[np.isnan(want)] = -np.inf
        if want.shape != values.shape:
            raise BundleError(
                f"samples: row {number} has an answer of shape {want.shape}, want {values.shape}."
            )
        with np.errstate(invalid="ignore"):
            worst = float(np.where(values == want, 0.0, np.abs(values - want) / stream.scale).max())
        if not worst <= tolerance:
            raise BundleError(
                f"samples: the answer to row {number} is off by {worst:.2g}{stream.unit} (at most "
                f"{tolerance:g}): {_REASON}"
            )


def record_answers(answer: Answer, rows: Sequence[Any]) -> Samples:
    """The same for a model that cannot stream: all rows handed to `answer` at once."""
    given = [plain(row) for row in rows]
    pairs = zip(given, answer(list(rows)), strict=True)
    return tuple({"row": row, "answer": plain(one)} for row, one in pairs)


def verify_answers(
    answer: Answer, samples: Sequence[Mapping[str, Any]], tolerance: float = TOLERANCE
) -> None:
    """Compare what `answer` gives for the sample rows with the saver's answers.

    Numbers may differ by `tolerance`, all else must be equal. Raises BundleError.
    """
    if not samples:
        return
    answers = answer([sample["row"] for sample in samples])
    for number, (sample, got) in enumerate(zip(samples, answers, strict=True), start=1):
        difference = _difference(plain(got), sample["answer"], tolerance)
        if difference is not None:
            raise BundleError(f"samples: the answer to row {number} {difference}: {_REASON}")


def _difference(got: Any, want: Any, tolerance: float) -> str | None:
    """In which way two plain values differ by more than `tolerance`; None when they do not."""
    if isinstance(got, float) and isinstance(want, int | float):
        apart = abs(got - want)
        return None if apart <= tolerance else f"is off by {apart:.2g} (at most {tolerance:g})"
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(got, dict) and isinstance(want, dict) and got.keys() == want.keys():
        pairs = ((part, want[name]) for name, part in got.items())
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        pairs = zip(got, want, strict=True)
    else:
        return None if got == want else f"is {shown(got)}, the saver's was {shown(want)}"
    found = (_difference(*pair, tolerance) for pair in pairs)
    return next((text for text in found if text is not None), None)


def _numbers(values: np.ndarray) -> Any:
    """As JSON's numbers, with no more digits than single precision has; minus infinity as None."""
    short = values.astype("U").astype(np.float64) if values.dtype == np.float32 else values
    return np.where(short == -np.inf, None, short).tolist()  # type: ignore[call-overload]
