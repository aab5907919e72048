"""The law for a task: its codec row by row, its network and its training loss, on real encoded rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statewise.core.errors import LawError, StreamError
from statewise.models.forecast import build
from statewise.nn.backbone import BackboneConfig
from statewise.recurrence import Recurrence
from statewise.rows.clock import Clock
from statewise.rows.forecast import ForecastCodec
from statewise.rows.layout import ForecastArrays
from statewise.rows.panel import Series, panel
from statewise.rows.source import live_rows
from statewise.tasks.forecast import Forecast
from statewise.tasks.task import Task
from statewise.testing.case import LAW
from statewise.testing.recurrence import check_recurrence
from statewise.testing.sequence_task import check_sequence_task

_GAPS = 0.2  # share of rows taken out, on top of those the data lacks
_SMALL = BackboneConfig(hidden_size=4)
_TIME = 8  # steps of the windows that the network is checked on


def check_task(
    task: Task,
    data: Any,
    *,
    backbone: BackboneConfig | None = None,
    rows: int = 200,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """Prove that whole = steps = chunks holds for `task` on the rows of `data`, or raise LawError.

    Of a forecast three proofs, on the first `rows` rows of every series with a fifth of them taken out: rows
    encoded one by one are the bits of the series encoded whole; the untrained network of the task, every
    weight drawn at random, keeps the whole law (`check_recurrence`) on windows of those arrays; the losses it
    is trained on are the same in chunks.

    Of a task on sequences, untrained too: the live step, where the task runs live, keeps the whole law on
    windows of encoded items of the first `rows` sequences; the loss of a batch is the mean of its rows' own;
    answers do not depend on the rows they are given with.

    `backbone` defaults to a small one. Takes a second or two. Raises DataError for rows that do not fit.
    """
    if isinstance(task, Forecast):
        _check_forecast(task, data, backbone or _SMALL, rows, tolerance, seed)
    else:
        check_sequence_task(task, data, backbone=backbone, rows=rows, tolerance=tolerance, seed=seed)


def _check_forecast(
    task: Forecast, data: Any, backbone: BackboneConfig, rows: int, tolerance: float, seed: int
) -> None:
    found = panel(data, task.schema)
    codec = task.codec(found)
    chance = np.random.default_rng(seed)
    parts = [with_gaps(series.head(rows, task.horizon), chance) for series in found.series]
    for series in parts:
        check_encoding(codec, series)
    arrays = [task.arrays(codec, series) for series in parts]
    memory = task.memory(codec, max(map(len, found.series)))
    windows = _Windows(arrays, task.horizon)
    check_recurrence(
        lambda: _random(build(task, codec, [task.network(codec, memory, backbone)])),
        windows,
        time=_TIME,
        tolerance=tolerance,
        seed=seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _check_losses(_random(task.network(codec, memory, backbone)).double(), windows, codec, tolerance)


def check_encoding(codec: ForecastCodec, series: Series) -> None:
    """Rows encoded one by one, missing ones skipped, equal the whole series encoded, bit by bit."""
    whole, position = codec.encode(series), -1
    previous: np.datetime64 | None = None
    static = codec.encode_static({})
    rows = live_rows(series, codec.schema, codec.clock, codec.horizon)
    for row, there in zip(rows, sent(series, codec.clock), strict=True):
        if not there:
            continue
        try:
            gap, now, future = codec.encode_row(row, previous, static)
            bridged = codec.encode_gap(previous, gap, now, future) if gap and previous is not None else None
        except StreamError as error:
            raise _failure(f"series '{series.id}': a row is refused: {str(error).rstrip('.')}") from None
        for step in range(gap if bridged is not None else 0):
            position += 1
            assert bridged is not None
            _compare(codec, series, position, whole, bridged[0][step], bridged[1][step])
        position += 1
        _compare(codec, series, position, whole, now, future)
        static, previous = now[codec.layout.now("static")], codec.row_time(row, previous)


def sent(series: Series, clock: Clock) -> list[bool]:
    """Which grid times a source would send: those with any value, and the first and last.

    Both passes of an hour that the wall clock shows twice too: without an offset, one alone would be either.
    """
    values = np.concatenate((series.target, series.observed, series.known[: len(series)]), axis=1)
    there = np.asarray(~np.isnan(values).all(axis=1))
    there[[0, -1]] = True
    texts = clock.texts(series.time)
    if len(set(texts)) < len(texts):
        passes = Counter(texts)
        there |= np.array([passes[text] > 1 for text in texts])
    return [bool(one) for one in there]


def with_gaps(series: Series, chance: np.random.Generator) -> Series:
    """The series with some rows taken out, never the first or last."""
    out = chance.random(len(series)) < _GAPS
    out[[0, -1]] = False
    ahead = np.zeros(len(series.known) - len(series), dtype=bool)
    return replace(
        series,
        target=np.where(out[:, None], np.nan, series.target),
        observed=np.where(out[:, None], np.nan, series.observed),
        known=np.where(np.concatenate((out, ahead))[:, None], np.nan, series.known),
    )


def _compare(
    codec: ForecastCodec, series: Series, position: int, whole: ForecastArrays, now: Any, future: Any
) -> None:
    ahead = whole.future[position + 1 : position + 1 + codec.horizon]
    for what, got, want in (("now", now, whole.now[position]), ("future", future, ahead)):
        if got.shape != want.shape or got.dtype != want.dtype:
            shapes = f"{got.dtype}{list(got.shape)}, want {want.dtype}{list(want.shape)}"
            raise _failure(f"series '{series.id}', row {position}: {what} is {shapes}")
        differs = ~((got == want) | (np.isnan(got) & np.isnan(want)))
        if differs.any():
            place = tuple(int(index) for index in np.argwhere(differs)[0])
            channel = codec.channels[place[-1] + (0 if what == "now" else codec.layout.now("known").start)]
            raise _failure(
                f"series '{series.id}', row {position}: {what} of '{channel}' is {got[place]:g} when encoded "
                f"alone, {want[place]:g} in the whole series"
            )


def _failure(text: str) -> LawError:
    return LawError(f"codec breaks law 2 ({LAW[2]}): {text}.")


class _Windows:
    """Draws windows of encoded rows: (now [B, T, F], future [B, T, H, G])."""

    def __init__(self, arrays: list[ForecastArrays], horizon: int) -> None:
        self.horizon = horizon
        self.arrays = [(torch.from_numpy(part.now), torch.from_numpy(part.future)) for part in arrays]

    def __call__(self, batch: int, time: int) -> tuple[Tensor, Tensor]:
        pairs = [self._window(time) for _ in range(batch)]
        return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])

    def _window(self, time: int) -> tuple[Tensor, Tensor]:
        """A window from a random place; a series that is shorter begins anew until it is long enough."""
        now, line = self.arrays[int(torch.randint(len(self.arrays), ()))]
        ahead = line.unfold(0, self.horizon, 1)[1:].transpose(1, 2)
        start = int(torch.randint(max(len(now) - time, 0) + 1, ()))
        places = (start + torch.arange(time)) % len(now)
        return now[places], ahead[places]


def _random(network: Recurrence) -> Recurrence:
    """All weights, learned or solved for, moved at random: a readout of zeros would hide everything."""
    for weight in network.state_dict().values():
        if weight.is_floating_point():
            weight.add_(0.1 * torch.randn_like(weight))
    return network.eval()


def _check_losses(network: Any, windows: _Windows, codec: ForecastCodec, tolerance: float) -> None:
    """The losses of chunks with the state handed over are those of the whole."""
    now, future = (part.double() for part in windows(3, _TIME))
    target = torch.randn(3, _TIME, codec.layout.target, codec.horizon, dtype=torch.float64)
    with torch.no_grad():
        whole, _, _ = network.losses((now, future), target, network.initial_state(3))
        for cut in range(1, _TIME):
            state, parts = network.initial_state(3), []
            for piece in (slice(0, cut), slice(cut, _TIME)):
                x = now[:, piece], future[:, piece]
                losses, _, state = network.losses(x, target[:, piece], state)
                parts.append(losses)
            largest = float((torch.cat(parts, dim=1) - whole).abs().nan_to_num(nan=torch.inf).max())
            if not largest <= tolerance * max(1.0, float(whole.abs().max())):
                raise LawError(
                    f"{type(network).__name__} breaks law 3 ({LAW[3]}): losses cut at {cut} differ by "
                    f"{largest:.3g} from those of the whole."
                )
