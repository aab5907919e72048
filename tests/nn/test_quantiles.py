"""Heads: quantiles that never cross, losses held to the metric or to the textbook density."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.metrics.forecast import pinball
from statewise.nn.quantiles import HEADS, MEAN_WEIGHT, DistributionHead, QuantileHead, check_levels, make_head

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)

# Quantile functions of the standard forms at LEVELS, from printed tables.
TABLES = {
    "normal": (-1.2815515655, -0.6744897502, 0.0, 0.6744897502, 1.2815515655),
    "laplace": (-1.6094379124, -0.6931471806, 0.0, 0.6931471806, 1.6094379124),
    "logistic": (-2.1972245773, -1.0986122887, 0.0, 1.0986122887, 2.1972245773),
}


def draw(size: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """raw [50, size], location [50], target [50] in float64."""
    generator = torch.Generator().manual_seed(seed)
    raw = scale * torch.randn(50, size, generator=generator, dtype=torch.float64)
    location, target = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    return raw, location, target


@pytest.mark.parametrize("name", HEADS)
@given(scale=st.floats(0, 100), seed=st.integers(0, 1000), many=st.booleans())
def test_quantiles_never_cross(name: str, scale: float, seed: int, many: bool) -> None:
    levels = tuple(i / 20 for i in range(1, 20)) if many else LEVELS
    head = make_head(name, levels)
    raw, location, _ = draw(head.size, seed, scale)
    out = head(raw.float(), location.float())
    assert out.shape == (50, 1 + len(levels))
    assert (out[:, 1:].diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("levels", [(0.5,), (0.5, 0.9), (0.05, 0.5)])
@pytest.mark.parametrize("name", HEADS)
def test_levels_may_lie_on_one_side_or_be_the_median_alone(name: str, levels: tuple[float, ...]) -> None:
    head = make_head(name, levels)
    raw, location, target = draw(head.size)
    assert head(raw, location).shape == (50, 1 + len(levels))
    assert torch.isfinite(head.loss(raw, location, target)).all()


def test_the_pinball_loss_is_that_of_the_metrics() -> None:
    head = QuantileHead(LEVELS).double()
    head.levels = torch.tensor(LEVELS, dtype=torch.float64)
    raw, location, target = draw(head.size)
    out = head(raw, location).numpy()
    actual = target.numpy()
    want = np.mean([2 * pinball(actual, out[:, 1 + q], level, ()) for q, level in enumerate(LEVELS)], axis=0)
    want = want + MEAN_WEIGHT * (actual - out[:, 0]) ** 2
    np.testing.assert_allclose(head.loss(raw, location, target).numpy(), want, atol=1e-12)


def test_a_quantile_head_starts_with_steps_of_a_fifth_around_the_location() -> None:
    out = QuantileHead(LEVELS)(torch.zeros(1, 6), torch.tensor([3.0]))[0]
    step = math.log1p(math.exp(-1.5))
    assert 0.19 < step < 0.21
    want = [3, 3 - 2 * step, 3 - step, 3, 3 + step, 3 + 2 * step]
    torch.testing.assert_close(out, torch.tensor(want))


def test_the_median_and_the_mean_are_free_of_each_other() -> None:
    head = QuantileHead(LEVELS)
    raw = torch.zeros(6)
    moved = raw.index_fill(0, torch.tensor([0]), 1.0)
    change = head(moved, torch.tensor(0.0)) - head(raw, torch.tensor(0.0))
    assert change.tolist() == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", TABLES)
def test_quantiles_of_a_distribution_are_those_of_the_tables(name: str) -> None:
    head = DistributionHead(name, LEVELS)
    scale = torch.tensor([0.5, 2.0])
    raw = torch.stack((torch.tensor([0.25, -1.0]), (scale - 1e-3).expm1().log()), dim=-1)
    out = head(raw, torch.tensor([1.0, 2.0]))
    for row, (mean, size) in enumerate([(1.25, 0.5), (1.0, 2.0)]):
        want = [mean] + [mean + size * point for point in TABLES[name]]
        np.testing.assert_allclose(out[row].numpy(), want, atol=2e-6)


def density(name: str, z: float) -> float:
    if name == "normal":
        return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    if name == "laplace":
        return math.exp(-abs(z)) / 2
    return math.exp(-z) / (1 + math.exp(-z)) ** 2


@pytest.mark.parametrize("name", TABLES)
def test_the_loss_of_a_distribution_is_minus_its_log_density(name: str) -> None:
    head = DistributionHead(name, LEVELS).double()
    raw, location, target = draw(2)
    loss = head.loss(raw, location, target)
    scale = torch.nn.functional.softplus(raw[:, 1]) + 1e-3
    for row in range(50):
        size = float(scale[row])
        z = float(target[row] - raw[row, 0] - location[row]) / size
        assert float(loss[row]) == pytest.approx(-math.log(density(name, z) / size), abs=1e-9)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_the_quantiles_of_those_densities(name: str) -> None:
    for level, point in zip(LEVELS, TABLES[name], strict=True):
        grid = np.linspace(-30, point, 10_001)
        height = np.array([density(name, z) for z in grid])
        area = ((height[1:] + height[:-1]) / 2 * np.diff(grid)).sum()
        assert area == pytest.approx(level, abs=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_far_outliers_keep_the_loss_and_its_gradient_finite(name: str) -> None:
    head = make_head(name, LEVELS)
    raw = torch.zeros(4, head.size, requires_grad=True)
    loss = head.loss(raw, torch.zeros(4), torch.tensor([-1e6, -1e3, 1e3, 1e6]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize("name", HEADS)
def test_training_a_constant_forecast_finds_the_quantiles(name: str) -> None:
    torch.manual_seed(0)
    uniform = torch.rand(2000)
    sample = {"laplace": torch.distributions.Laplace(0.0, 1.0).icdf, "logistic": torch.logit}.get(
        name, torch.distributions.Normal(0.0, 1.0).icdf
    )(uniform.clamp(1e-6, 1 - 1e-6))
    head = make_head(name, LEVELS)
    raw = torch.zeros(head.size, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(raw.expand(2000, -1), torch.zeros(2000), sample).mean().backward()
        optimizer.step()
    found = head(raw.detach(), torch.tensor(0.0))
    want = sample.quantile(torch.tensor(LEVELS))
    torch.testing.assert_close(found[1:], want, atol=0.12, rtol=0)


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ((0.9, 0.5), "quantiles: got (0.9, 0.5), want rising levels between 0 and 1."),
        ((0.5, 0.5), "quantiles: got (0.5, 0.5), want rising levels between 0 and 1."),
        ((0.0, 0.5), "quantiles: got (0.0, 0.5), want rising levels between 0 and 1."),
        ((0.5, 1.0), "quantiles: got (0.5, 1.0), want rising levels between 0 and 1."),
        ((0.1, 0.9), "quantiles: got (0.1, 0.9), want the median 0.5 among them."),
        ((), "quantiles: got (), want the median 0.5 among them."),
    ],
)
def test_levels_that_do_not_fit(levels: tuple[float, ...], text: str) -> None:
    for check in (check_levels, QuantileHead, lambda given: make_head("normal", given)):
        with pytest.raises(ConfigError) as caught:
            check(levels)
        assert str(caught.value) == text
