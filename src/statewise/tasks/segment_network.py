"""A forecaster with a finite memory: it reads only the newest `lookback` values, segment by segment.

Source: Lin et al. 2023, "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting":
a recurrence over embedded segments instead of single steps, and parallel decoding: each segment ahead is one
step of the same recurrence from the window's last state, driven by its place and its channel.
The state is the ring of the newest values; each position's window is read anew, relative to its last value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise import state as states
from statewise.core.errors import ConfigError
from statewise.nn import running
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.quantiles import QuantileHead
from statewise.nn.running import Lags, Seen
from statewise.recurrence import Recurrence, last_real, zero_padding
from statewise.rows.layout import Layout

Input = tuple[Tensor, Tensor]
_POSITIONS = 16  # windows per lane that a training step looks at: neighbours say almost the same
_AHEAD = 6  # segments ahead that a training step decodes


@dataclass(frozen=True)
class Segments:
    """Newest values read, and the length of a segment; the one is a multiple of the other."""

    lookback: int
    length: int

    def __post_init__(self) -> None:
        if self.lookback % self.length:
            raise ConfigError(
                f"segment_length: got {self.length}, want a divisor of the look-back {self.lookback}."
            )


class SegmentState(NamedTuple):
    """The newest values, and the last seen of each target."""

    seen: Seen
    lags: Lags


class SegmentNetwork(Recurrence):
    """x = (now [B, T, F], future, not read) to standardised forecasts [B, T, D, H, 1 + Q]."""

    def __init__(
        self,
        layout: Layout,
        horizon: int,
        segments: Segments,
        levels: tuple[float, ...],
        backbone: BackboneConfig,
    ) -> None:
        super().__init__()
        if layout.observed or layout.known:
            raise ConfigError(
                "lookback: a window of segments reads targets only, got observed or known columns: leave "
                "`lookback` out, or the columns."
            )
        self.targets, self.horizon, self.segments = layout.target, horizon, segments
        self.static = layout.now("static")
        self.ahead = math.ceil(horizon / segments.length)
        hidden = backbone.hidden_size
        half = hidden // 2
        self.embed = nn.Linear(segments.length, hidden)
        self.backbone = Backbone(hidden, replace(backbone, residual=False))  # bare, as in the paper
        self.place = nn.Parameter(torch.randn(self.ahead, hidden - half))
        self.channel = nn.Parameter(torch.randn(self.targets, half))
        self.series = nn.Linear(layout.static, half, bias=False) if layout.static else None
        self.head = QuantileHead(levels)
        self.dropout = nn.Dropout(backbone.dropout)
        self.readout = nn.Linear(hidden, segments.length * self.head.size)
        if self.series is not None:
            nn.init.normal_(self.series.weight)

    def initial_state(self, batch: int) -> SegmentState:
        like = self.embed.weight
        return SegmentState(
            running.seen_start(batch, self.targets, like),
            running.lags_start(batch, self.targets, self.segments.lookback, like),
        )

    def step(self, x: Input, state: SegmentState) -> tuple[Tensor, SegmentState]:
        """now [B, F] to forecasts [B, D, H, 1 + Q]."""
        values = x[0][:, : self.targets]
        seen = running.seen_step(values, state.seen)
        lags = running.lags_step(values, seen.value, state.lags, 1)
        return self._forecasts(x[0], lags.values, lags.count), SegmentState(seen, lags)

    def forward(
        self, x: Input, state: SegmentState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, SegmentState]:
        """now [B, T, F] to forecasts [B, T, D, H, 1 + Q]."""
        now = x[0]
        state = self.initial_state(now.shape[0]) if state is None else state
        if now.shape[1] == 0:
            return now.new_zeros(now.shape[0], 0, self.targets, self.horizon, self.head.size), state
        rings, count, after = self._remembered(now, state, lengths)
        return zero_padding(self._forecasts(now, rings, count), lengths), after

    def losses(self, x: Input, target: Tensor, state: SegmentState) -> tuple[Tensor, Tensor, SegmentState]:
        """Loss of each forecast [B, T, D, H], and where it counts; 0 where it was not computed.

        In training, a random part of the positions and of the segments ahead is looked at.
        """
        now, time = x[0], x[0].shape[1]
        rings, count, after = self._remembered(now, state, None)
        place, ahead = torch.arange(time), torch.arange(self.ahead)
        if self.training:
            place = torch.randperm(time)[:_POSITIONS]
            ahead = torch.randperm(self.ahead)[:_AHEAD].sort().values
        numbers, anchor = self._numbers(now[:, place], rings[:, place], count[:, place], ahead)
        steps = (ahead.unsqueeze(1) * self.segments.length + torch.arange(self.segments.length)).flatten()
        inside = steps < self.horizon
        steps, numbers = steps[inside], numbers[..., inside, :]
        wanted = target[:, place][..., steps] - anchor.unsqueeze(-1)
        found = self.head.loss(numbers, torch.zeros_like(wanted), wanted.nan_to_num())
        # A forecast of a real value counts whatever its loss: a NaN of the network itself must come to light.
        there = ~target[:, place][..., steps].isnan()
        losses, counts = torch.zeros_like(target), torch.zeros_like(target, dtype=torch.bool)
        for whole, part in ((losses, torch.where(there, found, 0.0)), (counts, there)):
            whole[:, place.unsqueeze(1), :, steps] = part.movedim(-1, 2).permute(1, 2, 0, 3)
        return losses, counts, after

    def _remembered(
        self, now: Tensor, state: SegmentState, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, SegmentState]:
        """Rings [B, T, D, L], their counts [B, T, 1] and the state after each row's last real step."""
        values = now[..., : self.targets]
        seen = running.seen_forward(values, state.seen)
        rings, count = running.lags_forward(values, seen.value, state.lags, 1)
        after = SegmentState(
            Seen(*(last_real(a, b, lengths) for a, b in zip(seen, state.seen, strict=True))),
            Lags(last_real(rings, state.lags.values, lengths), last_real(count, state.lags.count, lengths)),
        )
        return rings, count, after

    def _forecasts(self, now: Tensor, rings: Tensor, count: Tensor) -> Tensor:
        numbers, anchor = self._numbers(now, rings, count, torch.arange(self.ahead, device=now.device))
        numbers = numbers[..., : self.horizon, :]
        location = torch.zeros_like(numbers[..., 0])
        forecast: Tensor = self.head(numbers, location)
        return forecast + anchor[..., None, None]

    def _numbers(self, now: Tensor, rings: Tensor, count: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Raw numbers [..., D, steps of the segments `ahead`, size], and anchors [..., D]."""
        lookback, length = self.segments.lookback, self.segments.length
        anchor = rings[..., -1]
        age = torch.arange(lookback - 1, -1, -1, device=now.device)
        change = torch.where(age < count.unsqueeze(-1), rings - anchor.unsqueeze(-1), 0.0)
        windows = change.reshape(-1, lookback // length, length)
        _, state = self.backbone(functional.relu(self.embed(windows)))
        context = self._decoded(state, self._channels(now), ahead)
        numbers = self.readout(self.dropout(context))
        return numbers.view(*anchor.shape, len(ahead) * length, self.head.size), anchor

    def _channels(self, now: Tensor) -> Tensor:
        """What tells windows apart by their target and series, [N, hidden / 2]."""
        channel: Tensor = self.channel
        if self.series is not None:
            channel = channel + self.series(now[..., self.static].nan_to_num()).unsqueeze(-2)
        else:
            channel = channel.expand(*now.shape[:-1], *channel.shape)
        return channel.flatten(0, -2)

    def _decoded(self, state: states.State, channels: Tensor, ahead: Tensor) -> Tensor:
        """One step of the backbone for each window and segment ahead, [N, M, hidden]."""
        windows, count = channels.shape[0], len(ahead)
        place = self.place[ahead]
        driver = torch.cat(
            (
                place.expand(windows, *place.shape),
                channels.unsqueeze(1).expand(windows, count, channels.shape[-1]),
            ),
            dim=-1,
        )
        each = states.map_state(lambda part: part.repeat_interleave(count, dim=0), state)
        context, _ = self.backbone.step(driver.flatten(0, 1), each)
        return context.view(windows, count, context.shape[-1])
