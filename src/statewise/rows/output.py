"""Forecasts as what the user reads: rows of a live stream, frames of the user's own library."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ShapeError
from statewise.rows.zones import is_fixed

if TYPE_CHECKING:
    from statewise.rows.forecast import ForecastCodec

Times = NDArray[np.datetime64]


class ForecastRows(Sequence[dict[str, Any]]):
    """The rows of one forecast, built when first looked at; `list(rows)` makes plain dicts for JSON."""

    def __init__(
        self,
        codec: ForecastCodec,
        decoded: NDArray[Any],
        last_time: np.datetime64,
        quantiles: Sequence[float],
    ) -> None:
        self._parts = (codec, decoded, last_time, quantiles)
        self._rows: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        targets, horizon = self._parts[1].shape[:2]
        return int(targets * horizon)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if self._rows is None:
            self._rows = _rows(*self._parts)
        return self._rows[index]

    def __repr__(self) -> str:
        return repr(list(self))


def quantile_names(quantiles: Sequence[float], count: int) -> list[str]:
    """Column names "mean", "q0.1" … for `count` values; `quantiles` default to equal steps."""
    levels = list(quantiles) or [(i + 1) / count for i in range(count - 1)]
    if len(levels) != count - 1:
        raise ShapeError(f"forecast: got {count - 1} quantiles, want {len(levels)}: {levels}.")
    return ["mean", *(f"q{level:g}" for level in levels)]


def forecast_frame(
    codec: ForecastCodec,
    ids: Sequence[str],
    cutoffs: Times,
    decoded: NDArray[Any],
    quantiles: Sequence[float],
    like: Any = None,
) -> Any:
    """See `ForecastCodec.forecast_frame`."""
    import narwhals as nw

    count, targets, horizon, values = decoded.shape
    names = quantile_names(quantiles, values)
    schema, repeat = codec.schema, targets * horizon
    index = codec.frequency.index(np.asarray(cutoffs, dtype="datetime64[s]"))
    times = codec.frequency.time((index[:, None] + np.arange(1, horizon + 1)).ravel())
    number = np.arange(count * repeat) // repeat
    identity = [int(i) for i in ids] if codec.id_kind == "number" else [str(i) for i in ids]
    columns: dict[str, Any] = {schema.id or "unique_id": np.array(identity)[number]}
    columns[schema.time] = np.repeat(times.reshape(count, 1, horizon), targets, axis=1).ravel()
    if targets > 1:
        columns["target"] = np.tile(np.repeat(np.array(schema.target), horizon), count)
    columns |= {name: np.ascontiguousarray(decoded[..., q]).ravel() for q, name in enumerate(names)}
    native = None if like is None or isinstance(like, (str, PathLike)) else like
    backend = nw.Implementation.POLARS if native is None else nw.from_native(native).implementation
    if not (backend.is_pandas_like() or backend.is_pyarrow()):
        backend = nw.Implementation.POLARS
    return _frame(codec, columns, backend, native)


def _frame(codec: ForecastCodec, columns: dict[str, Any], backend: Any, like: Any) -> Any:
    """The columns as a frame; times in the convention (zone, resolution, dates) of the frame `like`."""
    import narwhals as nw

    name, clock = codec.schema.time, codec.clock
    times = clock.instants(columns[name]) if clock.aware else clock.wall(columns[name])
    columns[name] = times.astype("datetime64[us]")
    frame: Any = nw.from_dict({key: _plain(values) for key, values in columns.items()}, backend=backend)
    wanted = None if like is None else nw.from_native(like).collect_schema().get(name)
    if clock.aware and clock.timezone is not None:
        named = "UTC" if is_fixed(clock.timezone) else clock.timezone  # frames take names of places only
        zoned = nw.col(name).dt.replace_time_zone("UTC").dt.convert_time_zone(named)
        frame = frame.with_columns(zoned)
    if isinstance(wanted, nw.Datetime) or wanted == nw.Date:
        frame = frame.with_columns(nw.col(name).cast(wanted))
    return frame.to_native()


def _plain(values: NDArray[Any]) -> Any:
    return values.tolist() if values.dtype.kind == "U" else values


def _rows(
    codec: ForecastCodec, decoded: NDArray[Any], last_time: np.datetime64, quantiles: Sequence[float]
) -> list[dict[str, Any]]:
    targets, horizon, values = decoded.shape
    time, names = codec.schema.time, quantile_names(quantiles, values)
    texts = codec.clock.texts(codec.times_after(last_time, horizon))
    several = targets > 1
    result = []
    for target, block in zip(codec.schema.target, decoded.tolist(), strict=True):
        for text, numbers in zip(texts, block, strict=True):
            head: dict[str, Any] = {time: text, "target": target} if several else {time: text}
            result.append(head | dict(zip(names, numbers, strict=True)))
    return result
