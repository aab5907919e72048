"""A forecaster that reads only the newest `lookback` values, in segments (placeholder until measured)."""

from __future__ import annotations

from dataclasses import dataclass

from statewise.recurrence import Recurrence


@dataclass(frozen=True)
class Segments:
    lookback: int
    length: int


class SegmentNetwork(Recurrence):
    pass
