"""The live forecaster: network and calibration as one recurrence, and long histories in bounded memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from statewise.nn.backbone import BackboneConfig
from statewise.nn.calibration import Calibrator
from statewise.recurrence import Recurrence
from statewise.rows.layout import Layout
from statewise.tasks import forecaster as forecasters
from statewise.tasks.forecast_network import ForecastNetwork, Memory
from statewise.tasks.forecaster import Forecaster, forecasts_at
from statewise.tasks.segment_network import SegmentNetwork, Segments
from statewise.testing import check_recurrence

HORIZON = 3
LEVELS = (0.1, 0.5, 0.9)
LAYOUT = Layout(target=2, observed=1, known=1, calendar=2, static=1)
TARGETS = Layout(target=2, observed=0, known=0, calendar=2, static=1)


def draw(batch: int, time: int, layout: Layout = LAYOUT) -> tuple[Tensor, Tensor]:
    now = torch.randn(batch, time, layout.now_size)
    gone = torch.rand(batch, time, layout.target) < 0.3
    now[..., : layout.target] = torch.where(gone, torch.nan, now[..., : layout.target])
    return now, torch.randn(batch, time, HORIZON, layout.future_size)


def moved(network: Recurrence) -> Recurrence:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def make(rate: float = 0.2) -> Forecaster:
    memory = Memory(lags=5, seasons=(2,), difference=2, halflife=3.0)
    network = ForecastNetwork(LAYOUT, HORIZON, memory, LEVELS, BackboneConfig("gru", 4), bins=2)
    network.linear.normal_()
    return Forecaster(moved(network), Calibrator(LAYOUT.target, HORIZON, LEVELS, rate)).eval()


def segments() -> Forecaster:
    network = SegmentNetwork(TARGETS, HORIZON, Segments(6, 2), LEVELS, BackboneConfig("gru", 4))
    return Forecaster(moved(network), Calibrator(TARGETS.target, HORIZON, LEVELS, 0.2)).eval()


def test_the_law() -> None:
    check_recurrence(make, draw)


def test_the_law_with_a_finite_look_back() -> None:
    check_recurrence(segments, lambda batch, time: draw(batch, time, TARGETS))


def test_outcomes_calibrate_the_forecasts_they_belong_to() -> None:
    """A forecaster whose outcomes all lie high widens its upper quantiles, and only those."""
    torch.manual_seed(0)
    now, future = draw(1, 30)
    now[..., :2] = 0.0
    plain, trained = make(rate=0.0), make()
    trained.network.load_state_dict(plain.network.state_dict())
    raw = plain((now, future))[0]
    after = trained((now, future))[0]
    torch.testing.assert_close(after[..., [0, 2]], raw[..., [0, 2]])
    beyond, width = now[0, 1:, :2] - after[0, :-1, :, 0, 2], (after[..., 3] - after[..., 2])[0, :-1, :, 0]
    # Misses of the quantile 0.9, one step ahead: in part within half an edge (here the rate) of it.
    misses = ((beyond / width).clamp(min=1e-9).log() / 0.2 + 0.5).clamp(0, 1)
    assert ((misses > 0) & (misses < 1)).any()
    growth = ((after[..., 3] - after[..., 2]) / (raw[..., 3] - raw[..., 2])).log()[0, :, :, 0]
    want = 0.2 * (misses - 0.1).cumsum(0)
    torch.testing.assert_close(growth[1:], want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_forecasts_of_a_long_history_come_chunk_by_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    forecaster = make()
    now, _ = draw(2, 40)
    future = torch.randn(2, 40 + HORIZON, LAYOUT.future_size)
    ahead = torch.stack([future[:, t + 1 : t + 1 + HORIZON] for t in range(40)], dim=1)
    want, final = forecaster((now, ahead))
    monkeypatch.setattr(forecasters, "CHUNK", chunk)
    positions = torch.tensor([0, 6, 7, 20, 39])
    got, state = forecasts_at(forecaster, now, future, positions)
    torch.testing.assert_close(got, want[:, positions], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state.calibration, final.calibration, rtol=1e-5, atol=1e-5)
    first, middle = forecasts_at(forecaster, now[:, :20], future[:, : 20 + HORIZON], positions[:3])
    rest, _ = forecasts_at(forecaster, now[:, 20:], future[:, 20:], positions[3:] - 20, middle)
    torch.testing.assert_close(torch.cat((first, rest), dim=1), got, rtol=1e-5, atol=1e-5)
    assert not got.requires_grad
