"""Time zones for whole arrays: the offsets of the system's zone tables as two sorted NumPy arrays."""

from __future__ import annotations

import re
import zoneinfo
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError, suggestion

Seconds = NDArray[np.int64]  # since 1970, UTC or wall clock
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST, _WEEK = -2_208_988_800, 4_102_444_800, 7 * 86_400  # 1900 to 2100
_DAY = 86_400
_FIXED = re.compile(r"(?:UTC)?([+-])(\d{2}):?(\d{2})")


class Local(NamedTuple):
    """What wall times mean in UTC: two readings in the hour the clock goes back, none in the skipped one."""

    first: Seconds
    second: Seconds  # equal to `first` unless ambiguous
    ambiguous: NDArray[np.bool_]
    missing: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Zone:
    """Offsets of one zone: `offset[i]` seconds holds from UTC second `start[i]` on."""

    name: str
    start: Seconds
    offset: Seconds

    def to_local(self, utc: Seconds) -> Seconds:
        """UTC seconds to seconds on the wall clock."""
        return utc + self._offset(utc)

    def to_utc(self, local: Seconds) -> Local:
        """Seconds on the wall clock to UTC, with both readings of an ambiguous hour."""
        before, after = local - self._offset(local - _DAY), local - self._offset(local + _DAY)
        valid, other = self.to_local(before) == local, self.to_local(after) == local
        first, second = np.where(valid, before, after), np.where(other, after, before)
        return Local(first, second, valid & other & (before != after), ~valid & ~other)

    def offset_at(self, utc: int) -> int:
        """Offset at one UTC second; the fast path of a live row."""
        starts, offsets = self._plain
        return offsets[max(bisect_right(starts, utc) - 1, 0)]

    @property
    def _plain(self) -> tuple[list[int], list[int]]:
        return _plain_table(self.name)

    def _offset(self, utc: Seconds) -> Seconds:
        return self.offset[np.maximum(np.searchsorted(self.start, utc, side="right") - 1, 0)]


def is_fixed(name: str) -> bool:
    """Whether a zone is a mere offset such as "+02:00", which needs no table."""
    return _FIXED.fullmatch(name) is not None


@cache
def zone(name: str) -> Zone:
    """The zone called `name`. Raises ConfigError: "timezone: no such zone 'Europe/Berln'. Did you mean …"."""
    fixed = _FIXED.fullmatch(name)
    if fixed:  # "+02:00" or "UTC+02:00", as frames name an offset that is no place
        seconds = int(fixed[2]) * 3600 + int(fixed[3]) * 60
        return Zone(name, np.array([_FIRST]), np.array([-seconds if fixed[1] == "-" else seconds]))
    try:
        rules = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = suggestion(name, zoneinfo.available_timezones()) if zoneinfo.available_timezones() else ""
        hint = hint if "Did you mean" in hint else " Want a name such as 'Europe/Berlin' or 'UTC'."
        raise ConfigError(f"timezone: no such zone '{name}'.{hint}") from None
    starts, offsets = [_FIRST], [_offset(rules, _FIRST)]
    for utc in range(_FIRST, _LAST, _WEEK):  # no zone changes its clocks twice within one week
        if _offset(rules, utc + _WEEK) != offsets[-1]:
            starts.append(_transition(rules, utc, utc + _WEEK))
            offsets.append(_offset(rules, utc + _WEEK))
    return Zone(name, np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64))


@cache
def _plain_table(name: str) -> tuple[list[int], list[int]]:
    table = zone(name)
    return table.start.tolist(), table.offset.tolist()


def _offset(rules: zoneinfo.ZoneInfo, utc: int) -> int:
    delta = (_EPOCH + timedelta(seconds=utc)).astimezone(rules).utcoffset()
    return 0 if delta is None else delta.days * _DAY + delta.seconds


def _transition(rules: zoneinfo.ZoneInfo, low: int, high: int) -> int:
    """First UTC second in (low, high] that has the offset of `high`."""
    new = _offset(rules, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(rules, middle) == new else (middle, high)
    return high
