"""The closed-form start: a linear autoregression is found exactly, and bins follow the training values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from statewise.nn.backbone import BackboneConfig
from statewise.rows.layout import Layout
from statewise.tasks.forecast_network import ForecastNetwork, Memory
from statewise.tasks.linear_start import fit_bins, solve_linear

LEVELS = (0.1, 0.5, 0.9)
Batch = tuple[Tensor, Tensor, Tensor]


def network(layout: Layout, horizon: int, bins: int = 4) -> ForecastNetwork:
    memory = Memory(lags=4, seasons=(2,), difference=1, halflife=50.0)
    made = ForecastNetwork(layout, horizon, memory, LEVELS, BackboneConfig("gru", 4), bins=bins)
    return made.double().eval()


def ahead(values: Tensor, horizon: int) -> Tensor:
    """Targets [1, T, D, H] of values [T, D]; NaN after the end."""
    line = torch.cat((values, torch.full((horizon, values.shape[1]), torch.nan, dtype=values.dtype)))
    return line.unfold(0, horizon, 1)[1:].unsqueeze(0)


def process(time: int = 6000) -> Tensor:
    """Changes c_t = 0.6 c_{t-1} - 0.3 c_{t-3} + noise, summed up: [T, 1]."""
    torch.manual_seed(0)
    change = [0.0] * 3
    for noise in torch.randn(time):
        change.append(0.6 * change[-1] - 0.3 * change[-3] + float(noise))
    return torch.tensor(change[3:], dtype=torch.float64).cumsum(0).unsqueeze(1)


def solved(values: Tensor, horizon: int, penalty: float, weight: Tensor | None = None) -> ForecastNetwork:
    made = network(Layout(1, 0, 0, 0, 0), horizon)
    weight = torch.ones(1, len(values)) if weight is None else weight
    solve_linear(made, [(values.unsqueeze(0), ahead(values, horizon), weight)], penalty)
    return made


def test_a_linear_autoregression_is_found() -> None:
    values = process()
    made = solved(values, 2, penalty=1e-9)
    forecast = made((values.unsqueeze(0), torch.zeros(1, len(values), 2, 0)))[0].detach()
    mean = forecast[0, :, 0, :, 0]
    change = values[:, 0].diff(prepend=values[:1, 0])
    one = 0.6 * change[50:] - 0.3 * change[48:-2]
    two = 0.6 * one - 0.3 * change[49:-1]
    error = mean[50:] - torch.stack((values[50:, 0] + one, values[50:, 0] + one + two), dim=-1)
    assert float(error.abs().mean()) < 0.1
    assert float((mean[50:] - values[50:]).abs().mean()) > 0.4


def test_a_heavy_penalty_leaves_the_naive_forecast() -> None:
    values = process()
    assert float(solved(values, 2, penalty=1e12).linear.abs().max()) < 1e-6


def test_what_the_lags_leave_over_is_measured_per_step_ahead_in_spreads() -> None:
    values = process()
    made = solved(values, 3, penalty=1.0)
    signals, _ = made.signals(values.unsqueeze(0), made.initial_state(1))
    error = (ahead(values, 3) - signals.anchor) / signals.spread.unsqueeze(-1) - made.linear_location(signals)
    want = error[0, :-3, 0].square().mean(0).sqrt()
    torch.testing.assert_close(made.left_over[0], want, rtol=0.01, atol=0)
    assert (made.left_over[0].diff() > 0).all()


def test_what_is_left_over_of_a_known_process_is_its_innovations() -> None:
    """y' = 0.8 y + 0.6 noise has variance 1; k steps ahead √(1 - 0.64^k) of it cannot be known."""
    torch.manual_seed(0)
    value, line = 0.0, []
    for noise in torch.randn(20_000).tolist():
        value = 0.8 * value + 0.6 * noise
        line.append(value)
    values = torch.tensor(line, dtype=torch.float64).unsqueeze(1)
    memory = Memory(
        lags=4, seasons=(2,), difference=1, halflife=1e5
    )  # so that the spread is near 1 throughout
    made = ForecastNetwork(Layout(1, 0, 0, 0, 0), 3, memory, LEVELS, BackboneConfig("gru", 4)).double()
    solve_linear(made, [(values.unsqueeze(0), ahead(values, 3), torch.ones(1, len(values)))], 1.0)
    assert made.left_over[0].tolist() == pytest.approx([0.6, 0.7684, 0.8590], rel=0.04)


def test_a_series_without_noise_still_leaves_a_unit() -> None:
    made = solved(torch.arange(500, dtype=torch.float64).unsqueeze(1), 2, penalty=1e-9)
    assert (made.left_over >= 1e-3).all()


def test_what_is_missing_or_not_trained_has_no_part() -> None:
    values = process(400)
    weight = torch.ones(1, 400)
    weight[:, 200:] = 0
    want = solved(values[:202], 2, 1.0, weight[:, :202]).linear
    spoiled = values.clone()
    spoiled[203:] = 1e6
    torch.testing.assert_close(solved(spoiled, 2, 1.0, weight).linear, want)
    gappy = values.clone()
    gappy[::7] = torch.nan
    assert torch.isfinite(solved(gappy, 2, 1.0).linear).all()


def test_rows_too_few_for_the_weights_leave_them_at_zero() -> None:
    assert (solved(process(4), 2, 1.0).linear == 0).all()
    assert (solved(torch.full((50, 1), torch.nan, dtype=torch.float64), 2, 1.0).linear == 0).all()


def test_a_constant_series_is_no_trouble() -> None:
    made = solved(torch.full((300, 1), 3.0, dtype=torch.float64), 2, 1.0)
    assert torch.isfinite(made.linear).all()
    forecast = made((torch.full((1, 50, 1), 3.0, dtype=torch.float64), torch.zeros(1, 50, 2, 0)))[0]
    assert forecast[0, -1, 0, :, 0].tolist() == pytest.approx([3, 3], abs=0.01)


def test_several_targets_are_solved_each_from_its_own_lags() -> None:
    values = torch.cat((process(), process().flip(0)), dim=1)
    made = network(Layout(2, 0, 0, 0, 0), 1)
    solve_linear(made, [(values.unsqueeze(0), ahead(values, 1), torch.ones(1, len(values)))], 1.0)
    for d in range(2):  # the level of the other target is an extra (4 + d is its own), and says little
        own = [0, 1, 2, 3, 4 + d, 6]
        alone = solved(values[:, d : d + 1], 1, 1.0).linear[0]
        torch.testing.assert_close(made.linear[d, own], alone, atol=0.05, rtol=0)
        assert float(made.linear[d, 5 - d].abs()) < 0.05


def batches(covariate: Tensor) -> Iterator[Batch]:
    now = torch.stack((torch.zeros_like(covariate), covariate), dim=-1).unsqueeze(0)
    yield now, now[..., :1, None], torch.ones(now.shape[:2])


def test_bins_are_quantiles_of_the_values_there_are() -> None:
    made = network(Layout(1, 1, 0, 0, 0), 1)
    covariate = torch.randperm(1001).double()
    covariate = torch.cat((covariate, torch.full((500,), torch.nan, dtype=torch.float64)))
    made = made.float()
    fit_bins(made, batches(covariate.float()))
    assert made.edges[0].tolist() == pytest.approx([0, 250, 500, 750, 1000], abs=1e-2)


@pytest.mark.parametrize("values", [[0.0] * 50, [0.0] * 49 + [1.0], [float("nan")] * 50])
def test_every_bin_has_a_width(values: list[float]) -> None:
    made = network(Layout(1, 1, 0, 0, 0), 1).float()
    fit_bins(made, batches(torch.tensor(values)))
    assert (made.edges.diff(dim=-1) > 0).all()
    assert torch.isfinite(made.edges).all()


@pytest.mark.parametrize("bins", [0, 4])
def test_without_bins_or_covariates_there_is_nothing_to_fit(bins: int) -> None:
    made = network(Layout(1, 0, 0, 0, 0) if bins else Layout(1, 1, 0, 0, 0), 1, bins)
    before = None if made.edges is None else made.edges.clone()
    fit_bins(made, batches(torch.randn(20)))
    assert (made.edges is None) if before is None else torch.equal(made.edges, before)
