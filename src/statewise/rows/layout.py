"""What the network reads of one series, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError

Array = NDArray[np.float32]
_NOW = ("target", "observed", "known", "calendar", "static")
_FUTURE = ("known", "calendar")


class ForecastArrays(NamedTuple):
    """One series for the network: what is seen at each grid time, and what is known of all times to come."""

    now: Array  # [T, F] target | observed | known | calendar | static; NaN is missing
    future: Array  # [T + H, G] known | calendar; position t looks at rows t + 1 … t + H


@dataclass(frozen=True)
class Layout:
    """How many channels each part of `now` and `future` has, in this order."""

    target: int
    observed: int
    known: int
    calendar: int
    static: int

    @property
    def now_size(self) -> int:
        """F: target | observed | known | calendar | static."""
        return sum(getattr(self, part) for part in _NOW)

    @property
    def future_size(self) -> int:
        """G: known | calendar."""
        return self.known + self.calendar

    def now(self, part: str) -> slice:
        """Channels of `part` ("target", "observed", "known", "calendar", "static") in `now`."""
        return _slice({name: getattr(self, name) for name in _NOW}, part)

    def future(self, part: str) -> slice:
        """Channels of `part` ("known", "calendar") in `future`."""
        return _slice({name: getattr(self, name) for name in _FUTURE}, part)


def _slice(sizes: Mapping[str, int], part: str) -> slice:
    start = 0
    for name, size in sizes.items():
        if name == part:
            return slice(start, start + size)
        start += size
    raise ConfigError(f"layout: no such part '{part}', want one of {', '.join(sizes)}.")
