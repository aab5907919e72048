"""Sample rows and the answers the saver got: recorded into a bundle, replayed wherever it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from statewise.core.errors import BundleError
from statewise.streaming.session import Stream


def record(stream: Stream, rows: Sequence[Mapping[str, Any]], answers: int = 2) -> tuple[dict[str, Any], ...]:
    """Feed `rows` to a fresh stream: [{"row": …, "answer": [D, H, 1 + Q] or None}, …], JSON-plain.

    The last `answers` rows get their answer; as the state carries all rows before, they stand for all.
    """
    samples = []
    for place, row in enumerate(rows):
        values = stream.update(row).values
        answer = values.tolist() if place >= len(rows) - answers else None
        samples.append({"row": _plain(row), "answer": answer})
    return tuple(samples)


def verify(stream: Stream, samples: Iterable[Mapping[str, Any]], tolerance: float = 1e-4) -> None:
    """Feed the sample rows to a fresh stream and compare its answers with the saver's.

    `tolerance` is in scales of the target. Raises BundleError when an answer differs or has another shape.
    """
    scale = stream.codec.target_scale.reshape(-1, 1, 1)
    for number, sample in enumerate(samples, start=1):
        values = stream.update(sample["row"]).values
        if sample["answer"] is None:
            continue
        want = np.array(sample["answer"], dtype=np.float64)
        if want.shape != values.shape:
            raise BundleError(
                f"samples: row {number} has an answer of shape {want.shape}, want {values.shape}."
            )
        worst = float((np.abs(values - want) / scale).max())
        if not worst <= tolerance:
            raise BundleError(
                f"samples: the answer to row {number} is off by {worst:.2g} of the target's scale (at most "
                f"{tolerance:g}): this machine computes the model differently from where it was saved."
            )


def _plain(value: Any) -> Any:
    """JSON-plain: times as ISO text, NumPy scalars and arrays as Python values, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and value != value else value
