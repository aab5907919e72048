"""The forecasting network: the law with missing values, its anchors, and that nothing it reads is ignored."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.rows.layout import Layout
from statewise.tasks.forecast_network import ForecastNetwork, Memory
from statewise.testing import check_recurrence

HORIZON = 3
LEVELS = (0.1, 0.5, 0.9)
SMALL = BackboneConfig(cell="lstm", hidden_size=4)
BARE = Layout(1, 0, 0, 0, 0)
FULL = Layout(target=2, observed=1, known=2, calendar=3, static=2)


def make(
    layout: Layout = FULL,
    *,
    head: str = "quantile",
    difference: int = 1,
    bins: int = 2,
    backbone: BackboneConfig = SMALL,
    horizon: int = HORIZON,
    random: bool = True,
) -> ForecastNetwork:
    """A network in evaluation mode whose every weight counts (`random=False`: as it is made)."""
    memory = Memory(lags=6, seasons=(2, 5), difference=difference, halflife=4.0)
    network = ForecastNetwork(layout, horizon, memory, LEVELS, backbone, head=head, bins=bins)
    if random:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
            network.linear.normal_()
            network.left_over.uniform_(0.5, 2.0)
    return network.eval()


Draw = Callable[[int, int], tuple[Tensor, Tensor]]


def inputs(layout: Layout, missing: float = 0.0, horizon: int = HORIZON) -> Draw:
    def draw(batch: int, time: int) -> tuple[Tensor, Tensor]:
        now = torch.randn(batch, time, layout.now_size)
        future = torch.randn(batch, time, horizon, layout.future_size)
        values, known = layout.target + layout.observed + layout.known, layout.known
        gone = torch.rand(batch, time, values) < missing
        now[..., :values] = torch.where(gone, torch.nan, now[..., :values])
        gone = torch.rand(batch, time, horizon, known) < missing
        future[..., :known] = torch.where(gone, torch.nan, future[..., :known])
        return now, future

    return draw


@pytest.mark.parametrize(
    ("layout", "head", "difference", "missing", "bins", "backbone"),
    [
        (FULL, "quantile", 1, 0.4, 2, SMALL),
        (FULL, "normal", 0, 0.4, 0, BackboneConfig("gru", 4)),
        (FULL, "laplace", 5, 0.4, 2, BackboneConfig("rnn", 4)),
        (FULL, "logistic", 2, 0.0, 2, BackboneConfig("lstm gru", 4, 2, layer_norm=True)),
        (BARE, "quantile", 5, 0.4, 2, SMALL),
        (Layout(3, 0, 0, 2, 0), "quantile", 0, 0.9, 2, BackboneConfig("gru", 4, recurrent_dropout=0.5)),
    ],
)
def test_the_law(
    layout: Layout, head: str, difference: int, missing: float, bins: int, backbone: BackboneConfig
) -> None:
    check_recurrence(
        lambda: make(layout, head=head, difference=difference, bins=bins, backbone=backbone),
        inputs(layout, missing),
    )


def test_the_law_in_training_mode_with_recurrent_dropout() -> None:
    backbone = BackboneConfig("lstm", 4, recurrent_dropout=0.5)
    check_recurrence(lambda: make(backbone=backbone).train(), inputs(FULL, 0.3))


@pytest.mark.parametrize("layout", [BARE, FULL, Layout(1, 2, 0, 0, 1), Layout(2, 0, 1, 0, 0)])
@pytest.mark.parametrize("missing", [0.5, 1.0])
def test_missing_values_never_make_a_forecast_or_gradient_nan(layout: Layout, missing: float) -> None:
    network = make(layout)
    now, future = inputs(layout, missing)(3, 20)
    now[..., -layout.static :] = torch.nan if layout.static else 0.0
    forecast, _ = network((now, future))
    assert torch.isfinite(forecast).all()
    forecast.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def gradients(network: ForecastNetwork, layout: Layout, horizon: int = HORIZON) -> tuple[Tensor, Tensor]:
    """d forecast[h] / d input at the last position: of now [H, T, F], of future [H, H, G]."""
    now, future = (part.requires_grad_() for part in inputs(layout, horizon=horizon)(1, 15))
    forecast = network((now, future))[0][0, -1].sum(dim=(0, 2))
    rows = [torch.autograd.grad(out, (now, future), retain_graph=True) for out in forecast]
    return torch.stack([row[0][0] for row in rows]), torch.stack([row[1][0, -1] for row in rows])


@pytest.mark.parametrize("difference", [0, 1, 2, 5])
@pytest.mark.parametrize("head", ["quantile", "laplace"])
def test_every_step_ahead_reads_the_newest_observation_and_its_own_future(difference: int, head: str) -> None:
    torch.manual_seed(0)
    by_now, by_future = gradients(make(head=head, difference=difference, horizon=6), FULL, horizon=6)
    assert (by_now[:, -1] != 0).all()  # each step ahead, each channel of the newest row
    assert (by_now[:, 0, : FULL.target] != 0).all()  # and, by the state, the oldest row
    own = by_future.diagonal(dim1=0, dim2=1)
    assert (own != 0).all()
    assert int((by_future != 0).sum()) == own.numel()  # a step ahead reads no other step's future


def untrained(difference: int, horizon: int, values: Tensor) -> Tensor:
    """The mean forecasts [H] of a network as it is made, at the end of `values` [T]."""
    network = make(BARE, difference=difference, horizon=horizon, random=False)
    x = values.view(1, -1, 1), torch.zeros(1, len(values), horizon, 0)
    return network(x)[0][0, -1, 0, :, 0].detach()


def test_untrained_it_is_the_naive_the_seasonal_naive_or_the_running_mean() -> None:
    torch.manual_seed(0)
    values = torch.randn(40)
    torch.testing.assert_close(untrained(1, 4, values), values[-1:].expand(4))
    torch.testing.assert_close(untrained(5, 12, values), values[-5:].repeat(3)[:12])
    weight = 0.5 ** (torch.arange(39, -1, -1) / 4)
    mean = (weight * values).sum() / (weight.sum() + 24 * 0.5 ** (40 / 4))
    torch.testing.assert_close(untrained(0, 3, values), mean.expand(3))


def test_a_missing_newest_value_is_taken_from_a_season_ago() -> None:
    values = torch.tensor([1.0, 2, 3, 4, 5, 6, torch.nan, torch.nan])
    assert untrained(1, 1, values[:6]).tolist() == [6]
    assert untrained(1, 1, values[:7]).tolist() == [5]  # the shortest season is 2 steps
    assert untrained(1, 1, values).tolist() == [6]


def test_the_loss_is_the_heads_in_the_networks_own_units_and_counts_where_a_value_was_observed() -> None:
    torch.manual_seed(0)
    network = make(head="normal")
    x = inputs(FULL, 0.3)(2, 9)
    target = torch.randn(2, 9, FULL.target, HORIZON)
    target[0, 3, 1, 2] = target[1, 0] = torch.nan
    losses, counts, after = network.losses(x, target, network.initial_state(2))
    assert torch.equal(counts, ~target.isnan())
    assert (losses[~counts] == 0).all()
    raw, _ = network.raw(x)
    mean = network(x)[0][..., 0]
    scale = (torch.nn.functional.softplus(raw.numbers[..., 1]) + 1e-3) * raw.spread
    density = torch.distributions.Normal(mean, scale).log_prob(target.nan_to_num())
    want = -density - raw.spread.log()
    there = ~target.isnan()
    torch.testing.assert_close(losses[there], want[there], rtol=1e-4, atol=1e-4)
    _, state = network(x)
    torch.testing.assert_close(after.backbone, state.backbone)


def test_a_step_sees_on_which_side_of_a_threshold_a_covariate_was_before() -> None:
    network = make(Layout(1, 1, 0, 0, 0), bins=2).double()  # edges at -2, 0, 2
    covariate = torch.tensor([-1.0, 1.0, torch.nan, 1.0, -1.0], dtype=torch.float64)
    now = torch.stack((torch.zeros(5, dtype=torch.float64), covariate), dim=-1).unsqueeze(0)
    below, above, level = [0.5, 0.0], [1.0, 0.5], [1.0, 0.0]
    want = [below + level, above + below, above + above, above + above, below + above]
    start = network.initial_state(1)
    whole, _ = network.signals(now, start)
    assert whole.features[0, :, -4:].tolist() == want
    _, middle = network.signals(now[:, :2], start)
    rest, _ = network.signals(now[:, 2:], middle)
    assert rest.features[0, :, -4:].tolist() == want[2:]


def test_a_one_layer_backbone_is_bare_and_drops_only_behind_it() -> None:
    one = make(backbone=BackboneConfig("lstm", 4, dropout=0.5))
    two = make(backbone=BackboneConfig("lstm", 4, 2, dropout=0.5))
    assert (one.backbone.config.dropout, two.backbone.config.dropout) == (0.0, 0.5)
    assert one.dropout.p == two.dropout.p == 0.5
    with torch.no_grad():
        for weight in one.backbone.parameters():
            weight.zero_()
    assert torch.equal(one.backbone(torch.randn(2, 5, 4))[0], torch.zeros(2, 5, 4))  # no way around


def test_scale_and_level_carry_over() -> None:
    """An untrained forecast of a + b·y is a + b times that of y, once the prior is forgotten."""
    torch.manual_seed(0)
    network = make(BARE, random=False).double()
    values = torch.randn(1, 300, 1, dtype=torch.float64)
    future = torch.zeros(1, 300, HORIZON, 0, dtype=torch.float64)
    one, other = network((values, future))[0], network((3 + 5 * values, future))[0]
    torch.testing.assert_close(other[:, -1], 3 + 5 * one[:, -1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("memory", "text"),
    [
        ((5, (7,), 1), "lags: got 5, want at least the seasons (7,) and difference 1."),
        ((5, (2,), 6), "lags: got 5, want at least the seasons (2,) and difference 6."),
        ((5, (0,), 1), "lags: got 5, want at least the seasons (0,) and difference 1."),
    ],
)
def test_a_memory_that_is_too_short(memory: tuple[int, tuple[int, ...], int], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Memory(*memory, halflife=4.0)
    assert str(caught.value) == text
