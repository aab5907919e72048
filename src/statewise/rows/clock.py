"""How a user writes time, and what it is inside: seconds since 1970 in UTC, or on the wall for day grids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import StreamError, shown
from statewise.rows.zones import zone

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400


@dataclass(frozen=True)
class Clock:
    """The user's convention for times.

    `timezone` is the zone of the data, None when the rows name none; `aware` says that the rows carry it
    (or an offset) themselves, `whole_days` that the grid has steps of a day or more. Inside, a sub-daily
    grid runs in UTC, so that no hour is missing or double; a grid of whole days runs on the wall clock.
    """

    timezone: str | None = None
    aware: bool = False
    whole_days: bool = False

    def seconds(self, value: Any, previous: int | None, name: str = "ds") -> int:
        """Inside seconds of one time: datetime, date, np.datetime64 or ISO text.

        In the hour the clock goes back, the first reading after `previous` is taken.
        Raises StreamError naming the column and what was wanted.
        """
        moment = value if isinstance(value, datetime) else _datetime(value, name)
        if moment.microsecond:
            raise StreamError(f"{name}: got '{value}', want whole seconds.")
        if moment.tzinfo is None:
            if self.aware:
                raise StreamError(
                    f"{name}: got '{value}' without a time zone, the training rows carry one: "
                    f"add the offset, such as '{moment.isoformat()}+00:00'."
                )
            delta = moment - _EPOCH
            seconds = delta.days * _DAY + delta.seconds
            return seconds if self.timezone is None or self.whole_days else self._utc(seconds, previous, name)
        if self.timezone is None:
            raise StreamError(
                f"{name}: got '{value}' with a time zone, the training rows carry none: leave it out."
            )
        delta = moment - _EPOCH_UTC
        seconds = delta.days * _DAY + delta.seconds
        return seconds + zone(self.timezone).offset_at(seconds) if self.whole_days else seconds

    def instants(self, times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Inside times as UTC instants (day grids with a time zone: the first instant of that wall time)."""
        if self.timezone is None or not self.whole_days:
            return times
        seconds = zone(self.timezone).to_utc(times.astype("datetime64[s]").astype(np.int64)).first
        return seconds.astype("datetime64[s]")

    def wall(self, times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Inside times as the wall clock shows them."""
        if self.timezone is None or self.whole_days:
            return times
        seconds = zone(self.timezone).to_local(times.astype("datetime64[s]").astype(np.int64))
        return seconds.astype("datetime64[s]")

    def texts(self, times: NDArray[np.datetime64]) -> list[str]:
        """Inside times as ISO text in the user's convention; aware times carry their offset."""
        wall = self.wall(times).astype("datetime64[s]")
        if not self.aware:
            return [str(text) for text in np.datetime_as_string(wall)]
        offsets = (wall - self.instants(times).astype("datetime64[s]")).astype(np.int64).tolist()
        return [
            f"{text}{_offset_text(off)}"
            for text, off in zip(np.datetime_as_string(wall), offsets, strict=True)
        ]

    def describe(self) -> str:
        """ "times without a time zone", "times on the clock of UTC", "times that carry the zone UTC"."""
        if self.timezone is None:
            return "times without a time zone"
        return (
            f"times that carry the zone {self.timezone}"
            if self.aware
            else f"times on the clock of {self.timezone}"
        )

    def _utc(self, local: int, previous: int | None, name: str) -> int:
        assert self.timezone is not None
        table = zone(self.timezone)
        before, after = local - table.offset_at(local - _DAY), local - table.offset_at(local + _DAY)
        if before == after:
            return before
        fits = [utc for utc in (before, after) if utc + table.offset_at(utc) == local]
        if not fits:
            shown = (_EPOCH + timedelta(seconds=local)).isoformat()
            raise StreamError(
                f"{name}: '{shown}' does not exist in {self.timezone}: the clock skips that hour."
            )
        return next((utc for utc in fits if previous is None or utc > previous), fits[-1])


def _datetime(value: Any, name: str) -> datetime:
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    elif isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise StreamError(f"{name}: got '{value}', want a time such as '2024-05-01T13:00:00'.") from None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise StreamError(
        f"{name}: got {shown(value)}, want a datetime or ISO text such as '2024-05-01T13:00:00'."
    )


def _offset_text(seconds: int) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
