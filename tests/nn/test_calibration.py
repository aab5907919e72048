"""Intervals that follow their misses: the law, the update by hand, and coverage in the long run."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.nn import calibration
from statewise.nn.calibration import Calibrator, nodes
from statewise.testing import check_recurrence

LEVELS = (0.1, 0.5, 0.9)


def forecasts(batch: int, time: int, targets: int, horizon: int, levels: int = 3) -> Tensor:
    """Ordered quantiles around a mean, [B, T, D, H, 1 + Q]."""
    quantiles = torch.randn(batch, time, targets, horizon, levels).sort(dim=-1).values
    return torch.cat((quantiles.mean(-1, keepdim=True), quantiles), dim=-1)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize(("targets", "horizon", "most"), [(1, 1, 48), (2, 3, 48), (2, 6, 3)])
def test_the_law(
    targets: int, horizon: int, most: int, missing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MAX_NODES", most)

    def draw(batch: int, time: int) -> tuple[Tensor, Tensor]:
        outcome = torch.randn(batch, time, targets)
        gone = torch.rand(outcome.shape) < missing
        return torch.where(gone, torch.nan, outcome), forecasts(batch, time, targets, horizon)

    check_recurrence(lambda: Calibrator(targets, horizon, LEVELS, 0.3), draw, time=10)


def test_the_update_by_hand() -> None:
    forecast = torch.tensor([0.2, -1.0, 0.0, 1.0]).view(1, 1, 1, 4)
    calibrator = Calibrator(1, 1, LEVELS, rate=0.1)
    state = calibrator.initial_state(1)
    upper, lower = 0.0, 0.0
    # (outcome, share of a miss of the upper quantile as given, of the lower one)
    rows = [(5.0, 0, 0), (2.0, 1, 0), (0.9, 0, 0), (math.exp(0.08 + 0.03), 0.8, 0), (-3.0, 0, 1)]
    for number, (outcome, above, below) in enumerate(rows):
        made, state = calibrator.step((torch.tensor([[outcome]]), forecast), state)
        if number:  # no forecast had been made for the first outcome
            upper += 0.1 * (above - 0.1)
            lower += 0.1 * (below - 0.1)
        want = torch.tensor([0.2, -math.exp(lower), 0.0, math.exp(upper)])
        torch.testing.assert_close(made.flatten(), want)


def test_a_missing_outcome_moves_nothing() -> None:
    calibrator = Calibrator(1, 1, LEVELS, rate=0.1)
    x = torch.full((1, 6, 1), torch.nan), forecasts(1, 6, 1, 1)
    calibrated, state = calibrator(x)
    torch.testing.assert_close(calibrated, x[1])
    assert (state.log_factor == 0).all()


def test_each_step_ahead_learns_from_its_own_outcomes_once_they_are_there() -> None:
    horizon, time = 4, 7
    calibrator = Calibrator(1, horizon, LEVELS, rate=0.1)
    x = torch.full((1, time, 1), 100.0), torch.tensor([0.0, -1.0, 0.0, 1.0]).expand(1, time, 1, horizon, 4)
    _, state = calibrator(x)
    moves = (state.log_factor[0, 0, :, 2] / 0.09).round(decimals=4).tolist()
    assert moves == [6, 5, 4, 3]  # a forecast k steps ahead first meets its outcome k steps later


@pytest.mark.parametrize("wrong", [0.25, 1.0, 4.0])
def test_coverage_becomes_that_of_the_levels(wrong: float) -> None:
    torch.manual_seed(0)
    levels, horizon, time = (0.05, 0.2, 0.5, 0.8, 0.95), 3, 6000
    points = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(levels)) * wrong
    forecast = torch.cat((torch.zeros(1), points)).expand(1, time, 1, horizon, 6)
    outcome = torch.randn(1, time, 1)
    calibrated, _ = Calibrator(1, horizon, levels, rate=0.03)((outcome, forecast))
    for ahead in range(horizon):
        made = calibrated[0, 500 : time - 1 - ahead, 0, ahead, 1:]
        below = (outcome[0, 501 + ahead :] <= made).float().mean(0)
        torch.testing.assert_close(below, torch.tensor(levels), atol=0.02, rtol=0)


@given(st.lists(st.floats(-20, 20), min_size=30, max_size=120), st.floats(0.02, 0.3), st.floats(0.1, 5))
def test_misses_cannot_drift_away_from_their_share(outcomes: list[float], rate: float, scale: float) -> None:
    """Whatever happens, the factor tells how far the misses are from their share so far."""
    time = len(outcomes)
    calibrator = Calibrator(1, 1, LEVELS, rate).double()
    forecast = torch.tensor([0.0, -1.0, 0.0, 1.0], dtype=torch.float64) * scale
    outcome = torch.tensor(outcomes, dtype=torch.float64).view(1, time, 1)
    calibrated, state = calibrator((outcome, forecast.expand(1, time, 1, 1, 4)))
    log_factor = calibrated[0, :, 0, 0, 3].div(scale).log()
    if log_factor.abs().max() >= 2.9:  # at the limit the factor no longer counts
        return
    beyond = (outcome[0, 1:, 0] / calibrated[0, :-1, 0, 0, 3]).clamp(min=1e-300).log()
    misses = (beyond / max(rate, 0.05) + 0.5).clamp(0, 1).sum()
    want = rate * (float(misses) - 0.1 * (time - 1))
    assert float(state.log_factor[0, 0, 0, 2]) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("rate", [0.03, 0.5])
def test_rounding_never_decides_a_miss(rate: float) -> None:
    """Outcomes that lie on a quantile again and again: differences in the last bits stay that small."""
    torch.manual_seed(0)
    outcome = torch.randint(-2, 3, (1, 3000, 1)).float()
    forecast = torch.tensor([0.0, -1.0, 0.0, 1.0]).expand(1, 3000, 1, 2, 4)
    noise = 1 + 1e-6 * torch.randn(3000).view(1, -1, 1, 1, 1)
    calibrator = Calibrator(1, 2, LEVELS, rate)
    one, other = calibrator((outcome, forecast))[0], calibrator((outcome, forecast * noise))[0]
    torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_a_rate_of_zero_leaves_forecasts_as_they_are() -> None:
    x = torch.randn(2, 9, 1), forecasts(2, 9, 1, 4)
    torch.testing.assert_close(Calibrator(1, 4, LEVELS, rate=0.0)(x)[0], x[1])


def test_factors_have_limits_and_quantiles_stay_in_order() -> None:
    torch.manual_seed(1)
    levels = (0.1, 0.2, 0.5, 0.8, 0.9)
    x = 1e6 * torch.randn(1, 400, 1), forecasts(1, 400, 1, 2, 5)
    calibrated, state = Calibrator(1, 2, levels, rate=0.5)(x)
    assert state.log_factor.abs().max() <= 3
    assert torch.isfinite(calibrated).all()
    assert (calibrated[..., 1:].diff(dim=-1) >= 0).all()
    torch.testing.assert_close(calibrated[..., [0, 3]], x[1][..., [0, 3]])


@given(st.integers(1, 2000))
def test_nodes_of_long_horizons(horizon: int) -> None:
    found = nodes(horizon)
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (0, horizon - 1)
    assert len(found) == min(horizon, calibration.MAX_NODES)


def test_between_nodes_the_nearest_one_counts() -> None:
    horizon = 200
    calibrator = Calibrator(1, horizon, LEVELS, rate=0.5)
    places = nodes(horizon)
    state = calibrator.initial_state(1)
    state = state._replace(log_factor=torch.arange(len(places)).view(1, 1, -1, 1).expand(1, 1, -1, 3) / 100)
    forecast = torch.tensor([0.0, -1.0, 0.0, 1.0]).expand(1, 1, horizon, 4)
    made, after = calibrator.step((torch.full((1, 1), torch.nan), forecast), state)
    assert after.pending.shape == (1, horizon, 1, len(places), 3)
    for ahead in range(horizon):
        closest = min(abs(ahead - place) for place in places)
        fits = [i for i, place in enumerate(places) if abs(ahead - place) == closest]
        assert any(float(made[0, 0, ahead, 3]) == pytest.approx(math.exp(i / 100)) for i in fits)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_does_not_fit(rate: float) -> None:
    with pytest.raises(ConfigError) as caught:
        Calibrator(1, 1, LEVELS, rate)
    assert str(caught.value) == f"calibration: got {rate}, want a rate from 0 (off) to below 1."
