"""The live forecaster: a network, and intervals calibrated on the outcomes of its own forecasts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.nn.calibration import CalibrationState, Calibrator
from statewise.nn.ensemble import Ensemble
from statewise.ops.threads import is_small, one_thread
from statewise.recurrence import Recurrence
from statewise.state import State

CHUNK = 1024  # positions run at once over a long history


class ForecasterState(NamedTuple):
    """Memory of the series, and of how well the intervals did."""

    network: State
    calibration: CalibrationState


class Forecaster(Recurrence):
    """x = (now [B, T, F], future [B, T, H, G]) to calibrated standardised forecasts [B, T, D, H, 1 + Q]."""

    def __init__(self, network: Recurrence, calibrator: Calibrator) -> None:
        super().__init__()
        self.network, self.calibrator = network, calibrator

    @property
    def networks(self) -> list[Recurrence]:
        """What is trained, one by one: the network, or the members of an ensemble."""
        return self.network.parts if isinstance(self.network, Ensemble) else [self.network]

    def initial_state(self, batch: int) -> ForecasterState:
        return ForecasterState(self.network.initial_state(batch), self.calibrator.initial_state(batch))

    def step(self, x: tuple[Tensor, Tensor], state: ForecasterState) -> tuple[Tensor, ForecasterState]:
        """now [B, F] and future [B, H, G] to forecasts [B, D, H, 1 + Q]."""
        forecast, network = self.network.step(x, state.network)
        outcome = x[0][:, : self.calibrator.targets]
        calibrated, calibration = self.calibrator.step((outcome, forecast), state.calibration)
        return calibrated, ForecasterState(network, calibration)

    def forward(
        self,
        x: tuple[Tensor, Tensor],
        state: ForecasterState | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, ForecasterState]:
        """A sequence, in one pass."""
        state = self.initial_state(x[0].shape[0]) if state is None else state
        forecast, network = self.network(x, state.network, lengths)
        outcome = x[0][..., : self.calibrator.targets]
        calibrated, calibration = self.calibrator((outcome, forecast), state.calibration, lengths)
        return calibrated, ForecasterState(network, calibration)


@torch.no_grad()
def forecasts_at(
    forecaster: Recurrence, now: Tensor, future: Tensor, positions: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Forecasts [B, M, D, H, 1 + Q] made at `positions` [M] (rising) of now [B, T, F], in bounded memory.

    `future` [B, T + H, G] is the line of what is known ahead. Also gives the state after the last step.
    """
    horizon, time = future.shape[1] - now.shape[1], now.shape[1]
    ahead = future.unfold(1, horizon, 1)[:, 1:].transpose(2, 3)
    state = forecaster.initial_state(now.shape[0]) if state is None else state
    found = []
    with one_thread(is_small(forecaster)):
        for start in range(0, time, CHUNK):
            stop = min(start + CHUNK, time)
            outputs, state = forecaster((now[:, start:stop], ahead[:, start:stop]), state)
            inside = positions[(positions >= start) & (positions < stop)] - start
            found.append(outputs.index_select(1, inside))
    return torch.cat(found, dim=1), state
