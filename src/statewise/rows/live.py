"""The fast path of a live row: plain dictionaries and cached calendar blocks instead of array work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import lru_cache, partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import StreamError, shown, suggestion
from statewise.rows.columns import Column
from statewise.rows.frequency import Frequency

if TYPE_CHECKING:
    from statewise.rows.forecast import ForecastCodec

Array = NDArray[np.float32]
_BLOCK = 1024  # grid times whose calendar is computed at once
_BLOCKS = 64  # kept at most, so that sessions at different times do not push each other out
_NAN = float("nan")
_PLAIN = {float, int, bool}
_LARGEST = float(np.finfo(np.float32).max)
Place = tuple[int, float, float, Column]  # channel, mean, scale


class LiveRows:
    """Encodes rows one by one with the numbers of a codec; holds caches only, no state of any stream."""

    def __init__(self, codec: ForecastCodec) -> None:
        self.codec = codec
        self.time_name = codec.schema.time
        self.ignored = {codec.schema.time, codec.schema.id, "future"}
        layout = codec.layout
        self.size, self.horizon = layout.now_size, codec.horizon
        self.calendar, self.static = layout.now("calendar"), layout.now("static")
        self.known, self.future_size = layout.now("known"), layout.future_size
        moving = [c for c in codec.columns if c.role != "static"]
        self.places = _places(moving, 0)
        self.static_places = _places([c for c in codec.columns if c.role == "static"], 0)
        self.known_places = _places([c for c in moving if c.role == "known"], 0)
        self.blank = [_NAN] * self.calendar.start
        self.blocks: dict[int, Array] = {}
        frequency = codec.frequency
        self.slow_index = lru_cache(4096)(partial(_index_and_off, frequency))
        self.fixed = (frequency.count, frequency.phase) if frequency.unit == "s" else None

    def encode(
        self, row: Mapping[str, Any], previous_time: np.datetime64 | int | None, static: Array | None
    ) -> tuple[int, Array, Array]:
        """See `ForecastCodec.encode_row`."""
        if not isinstance(row, Mapping):
            raise StreamError(f"row: got {shown(row)}, want a mapping from column to value.")
        previous = _seconds(previous_time)
        seconds = self._row_seconds(row, previous)
        index = self._index(seconds, row)
        gap = 0
        if previous is not None:
            gap = index - self._index(previous, None) - 1
            if gap < 0:
                got, last = row[self.time_name], self._text(previous)
                raise StreamError(f"{self.time_name}: got '{got}', want a time after {last}.")
        calendar = self._calendar(index)
        now = np.empty(self.size, dtype=np.float32)
        now[: self.calendar.start] = self._values(row)
        now[self.calendar] = calendar[0]
        if self.static.start != self.size:
            now[self.static] = self._static(row, static)
        return gap, now, self._future(row.get("future"), calendar)

    def time(self, row: Mapping[str, Any], previous_time: np.datetime64 | int | None) -> np.datetime64:
        """See `ForecastCodec.row_time`."""
        return np.datetime64(self._row_seconds(row, _seconds(previous_time)), "s")

    def encode_static(self, values: Mapping[str, Any]) -> Array:
        """See `ForecastCodec.encode_static`."""
        for name in values:
            if name not in self.static_places:
                raise StreamError(
                    f"static: no such column '{name}'.{suggestion(str(name), self.static_places)}"
                )
        return self._static(values, None)

    def encode_gap(
        self, previous_time: np.datetime64 | int, gap: int, now: Array, future: Array
    ) -> tuple[Array, Array]:
        """See `ForecastCodec.encode_gap`."""
        first = self._index(_seconds(previous_time) or 0, None) + 1
        times = self.codec.frequency.time(np.arange(first, first + gap))
        missing = np.full((gap, self.size), np.nan, dtype=np.float32)
        missing[:, self.calendar] = self.codec.calendar(times)
        missing[:, self.static] = now[self.static]
        both = slice(self.known.start, self.calendar.stop)
        rows = np.concatenate([missing[:, both], now[None, both], future])
        windows = np.lib.stride_tricks.sliding_window_view(rows[1:-1], self.horizon, axis=0)
        return missing, windows[:gap].swapaxes(1, 2)

    def _static(self, row: Mapping[str, Any], before: Array | None) -> Array:
        """The static channels: those of `before`, or missing, and over them the static columns of `row`."""
        size = self.static.stop - self.static.start
        result = np.full(size, np.nan, dtype=np.float32) if before is None else before.copy()
        for name, place in self.static_places.items():
            if name in row:
                result[place[0] : place[0] + place[3].width] = np.nan
                _put(result, place, row[name])
        return result

    def _row_seconds(self, row: Mapping[str, Any], previous: int | None) -> int:
        try:
            value = row[self.time_name]
        except KeyError:
            raise StreamError(
                f"{self.time_name}: the row has no time.{suggestion(self.time_name, map(str, row))}"
            ) from None
        return self.codec.clock.seconds(value, previous, self.time_name)

    def _index(self, seconds: int, row: Mapping[str, Any] | None) -> int:
        if self.fixed is not None:
            index, rest = divmod(seconds - self.fixed[1], self.fixed[0])
            off = rest != 0
        else:
            index, off = self.slow_index(seconds)
        if off:
            grid = self.codec.frequency
            got = self._text(seconds) if row is None else row[self.time_name]
            near = self._text(int(grid.time(np.array([index])).astype(np.int64)[0]))
            raise StreamError(
                f"{self.time_name}: got '{got}', which is off the {grid.name} grid (near: {near})."
            )
        return index

    def _text(self, seconds: int) -> str:
        return self.codec.clock.texts(np.array([seconds], dtype="datetime64[s]"))[0]

    def _values(self, row: Mapping[str, Any]) -> list[float]:
        values = self.blank.copy()
        places = self.places
        for name, value in row.items():
            place = places.get(name)
            if place is None:
                if name not in self.ignored and name not in self.static_places:
                    options = [*places, *self.static_places, self.time_name]
                    raise StreamError(f"row: no such column '{name}'.{suggestion(str(name), options)}")
            elif (
                type(value) is float
                and place[3].categories is None
                and -_LARGEST <= value <= _LARGEST
                and -_LARGEST <= (number := (value - place[1]) / place[2]) <= _LARGEST
            ):
                values[place[0]] = number
            else:
                _put(values, place, value)
        return values

    def _future(self, given: Mapping[str, Any] | None, calendar: Array) -> Array:
        if given is not None and not isinstance(given, Mapping):
            raise StreamError(f"future: got {shown(given)}, want a mapping from known column to values.")
        ahead = calendar[1 : self.horizon + 1]
        known = self.future_size - ahead.shape[1]
        if not known:
            if given:
                raise StreamError(f"future: no such known column '{next(iter(given))}'.")
            return ahead
        future = np.full((self.horizon, self.future_size), np.nan, dtype=np.float32)
        future[:, known:] = ahead
        for name, values in (given or {}).items():
            place = self.known_places.get(name)
            if place is None:
                raise StreamError(
                    f"future: no such known column '{name}'.{suggestion(str(name), self.known_places)}"
                )
            _put_all(future, place, self._listed(name, values))
        return future

    def _listed(self, name: str, values: Any) -> list[Any]:
        """The next values of a known column."""
        try:
            listed = None if isinstance(values, (str, bytes, Mapping, Set)) else list(values)
        except TypeError:
            listed = None
        if listed is None:
            raise StreamError(
                f"future.{name}: got {shown(values)}, want a list of up to {self.horizon} values."
            )
        if len(listed) > self.horizon:
            raise StreamError(f"future.{name}: got {len(listed)} values, want at most {self.horizon}.")
        return listed

    def _calendar(self, index: int) -> Array:
        """Calendar [≥ H + 1, C] from grid number `index` on, read-only."""
        number, place = divmod(index, _BLOCK)
        block = self.blocks.get(number)
        if block is None:
            times = self.codec.frequency.time(
                np.arange(number * _BLOCK, (number + 1) * _BLOCK + self.horizon + 1)
            )
            block = self.codec.calendar(times)
            block.flags.writeable = False
            if len(self.blocks) >= _BLOCKS:
                self.blocks.clear()
            self.blocks[number] = block
        return block[place : place + self.horizon + 1]


def _places(columns: list[Column], start: int) -> dict[str, Place]:
    result = {}
    for column in columns:
        result[column.name] = (start, column.mean, column.scale, column)
        start += column.width
    return result


def _put(values: Any, place: Place, value: Any) -> None:
    """Write one value of any kind to its channels; missing stays NaN."""
    channel, mean, scale, column = place
    if _is_missing(value):
        return
    if column.categories is not None:
        text = str(value)
        for i, category in enumerate(column.categories):
            values[channel + i] = 1.0 if category == text else 0.0
        return
    try:
        number = _NAN if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError):
        number = _NAN
    except OverflowError:  # a whole number of hundreds of digits
        raise _too_large(value, column) from None
    if number != number:
        raise StreamError(f"{column.name}: got {shown(value)}, want a number.")
    if not isfinite(number):
        raise StreamError(f"{column.name}: got {number}, want a finite number, or None where it is missing.")
    standard = (number - mean) / scale
    if not (-_LARGEST <= number <= _LARGEST and -_LARGEST <= standard <= _LARGEST):
        raise _too_large(value, column)
    values[channel] = standard


def _too_large(value: Any, column: Column) -> StreamError:
    usual = f"{column.mean:g} ± {column.scale:g}"
    return StreamError(f"{column.name}: got {shown(value)}, too large for 32 bits (training rows: {usual}).")


def _put_all(future: Array, place: Place, values: Sequence[Any]) -> None:
    """Write the next values of one known column; plain numbers at once, anything else one by one."""
    channel, mean, scale, column = place
    if column.categories is None and set(map(type, values)) <= _PLAIN:
        try:
            numbers = np.array(values, dtype=np.float64)
        except OverflowError:  # which one is said below
            numbers = np.array([np.inf])
        standard = (numbers - mean) / scale
        if not (np.abs([numbers, standard]) > _LARGEST).any():
            future[: len(numbers), channel] = standard
            return
    for step, value in enumerate(values):
        _put(future[step], place, value)


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError, ArithmeticError):  # pandas.NA answers a comparison with itself
        return type(value).__name__ == "NAType"


def _index_and_off(frequency: Frequency, seconds: int) -> tuple[int, bool]:
    times = np.array([seconds], dtype=np.int64).astype("datetime64[s]")
    return int(frequency.index(times)[0]), bool(frequency.off_grid(times)[0])


def _seconds(time: np.datetime64 | int | None) -> int | None:
    if time is None or isinstance(time, int):
        return time
    return int(time.astype("datetime64[s]").astype(np.int64))
