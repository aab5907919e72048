"""What a causal model may know of a series: each memory is held to its definition, written out slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from statewise.nn import running
from statewise.nn.running import Lags, Running, Seen

DECAY = 0.9


def sequence(time: int, channels: int = 2, missing: float = 0.3, seed: int = 0) -> Tensor:
    """x [3, T, V] with NaN; the last row is missing throughout."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(3, time, channels, generator=draw, dtype=torch.float64)
    gone = torch.rand(x.shape, generator=draw) < missing
    gone[-1] = True
    return torch.where(gone, torch.nan, x)


def numbers(x: Tensor, row: int, channel: int) -> list[float]:
    return [float(value) for value in x[row, :, channel]]


def test_the_running_level_is_the_weighted_mean_of_what_was_seen_and_the_prior() -> None:
    x = sequence(40)
    sums = running.running_forward(x, running.running_start(3, 2, x), DECAY)
    mean, spread = running.level_and_spread(sums)
    for row, channel, now in [(0, 0, 39), (0, 1, 7), (1, 0, 25), (2, 1, 39)]:
        seen = np.array([value for value in numbers(x, row, channel)[: now + 1] if value == value])
        weight = DECAY ** np.arange(len(seen) - 1, -1, -1)
        prior = running.PRIOR_WEIGHT * DECAY ** len(seen)
        want = (weight * seen).sum() / (weight.sum() + prior)
        square = ((weight * seen**2).sum() + prior) / (weight.sum() + prior)
        assert float(mean[row, now, channel]) == pytest.approx(want, abs=1e-12)
        assert float(spread[row, now, channel]) == pytest.approx(np.sqrt(square - want**2), abs=1e-12)


def test_before_the_first_value_the_level_is_the_training_mean_and_spread() -> None:
    mean, spread = running.level_and_spread(running.running_start(2, 3, torch.zeros(())))
    assert (mean.tolist(), spread.tolist()) == ([[0.0] * 3] * 2, [[1.0] * 3] * 2)


@pytest.mark.parametrize("level", [0.0, 30.0, 300.0])
@pytest.mark.parametrize("noise", [0.0, 0.01, 1.0])
def test_a_high_level_leaves_the_spread_exact_in_single_precision(level: float, noise: float) -> None:
    torch.manual_seed(0)
    x = level + noise * torch.randn(1, 400, 1)
    state, stepped = running.running_start(1, 1, x), []
    for t in range(400):
        state = running.running_step(x[:, t], state, DECAY)
        stepped.append(running.level_and_spread(state)[1])
    whole, exact = (
        running.level_and_spread(running.running_forward(y, running.running_start(1, 1, y), DECAY))[1]
        for y in (x, x.double())
    )
    for spread in (torch.stack(stepped, dim=1), whole):
        torch.testing.assert_close(spread.double(), exact, rtol=5e-3, atol=1e-4)


def test_the_level_follows_and_the_spread_never_vanishes() -> None:
    x = torch.full((1, 5000, 1), 7.0, dtype=torch.float64)
    mean, spread = running.level_and_spread(running.running_forward(x, running.running_start(1, 1, x), DECAY))
    assert float(mean[0, -1]) == pytest.approx(7)
    assert float(spread.min()) == running.MIN_SPREAD


def test_last_seen_is_the_newest_value_and_the_steps_since() -> None:
    x = sequence(30)
    seen = running.seen_forward(x, running.seen_start(3, 2, x))
    for row in range(3):
        for channel in range(2):
            values = numbers(x, row, channel)
            last, since = 0.0, running.SINCE_CAP
            for now, value in enumerate(values):
                last, since = (value, 0.0) if value == value else (last, min(since + 1, running.SINCE_CAP))
                assert float(seen.value[row, now, channel]) == last
                assert float(seen.since[row, now, channel]) == since


def test_time_since_last_seen_is_capped() -> None:
    x = torch.full((1, 3, 1), torch.nan)
    state = Seen(torch.zeros(1, 1), torch.full((1, 1), running.SINCE_CAP - 1))
    seen = running.seen_forward(x, state)
    assert seen.since.flatten().tolist() == [running.SINCE_CAP] * 3
    assert running.seen_step(x[:, 0], seen_at(seen, 2)).since.item() == running.SINCE_CAP


def seen_at(seen: Seen, t: int) -> Seen:
    return Seen(seen.value[:, t], seen.since[:, t])


def slow_lags(values: list[float], length: int, season: int) -> list[list[float]]:
    """The ring after every step: the last `length` values, a missing one taken from one season before."""
    line: list[float] = []
    last, rings = 0.0, []
    for value in values:
        last = value if value == value else last
        before = line[-season] if len(line) >= season else last
        line.append(value if value == value else before)
        rings.append([0.0] * max(0, length - len(line)) + line[-length:])
    return rings


@pytest.mark.parametrize(("length", "season"), [(6, 5), (6, 6), (7, 2), (4, 1), (1, 1)])
def test_a_missing_lag_is_taken_from_one_season_before(length: int, season: int) -> None:
    x = sequence(40, missing=0.5)
    seen = running.seen_forward(x, running.seen_start(3, 2, x))
    rings, count = running.lags_forward(x, seen.value, running.lags_start(3, 2, length, x), season)
    assert count[0, :, 0].tolist() == [float(min(t + 1, length)) for t in range(40)]
    for row in range(3):
        for channel in range(2):
            want = slow_lags(numbers(x, row, channel), length, season)
            assert rings[row, :, channel].tolist() == want


def seen_pair(x: Tensor, state: Any) -> tuple[Any, Any]:
    after = running.seen_forward(x, state)
    return after, Seen(*(part[:, -1] for part in after))


def running_pair(x: Tensor, state: Any) -> tuple[Any, Any]:
    after = running.running_forward(x, state, DECAY)
    return after, Running(*(part[:, -1] for part in after))


def lags_pair(x: Tensor, state: Any) -> tuple[Any, Any]:
    seen, lags = state
    value, seen = seen_pair(x, seen)
    rings, count = running.lags_forward(x, value.value, lags, 3)
    return (rings, count), (seen, Lags(rings[:, -1], count[:, -1]))


def lags_step(x: Tensor, state: Any) -> Any:
    seen = running.seen_step(x, state[0])
    return seen, running.lags_step(x, seen.value, state[1], 3)


def flat(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [part for each in value for part in flat(each)]


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[[Tensor], Any]]] = {
    "seen": (seen_pair, running.seen_step, lambda x: running.seen_start(3, 2, x)),
    "running": (
        running_pair,
        lambda x, state: running.running_step(x, state, DECAY),
        lambda x: running.running_start(3, 2, x),
    ),
    "lags": (
        lags_pair,
        lags_step,
        lambda x: (running.seen_start(3, 2, x), running.lags_start(3, 2, 5, x)),
    ),
}


@pytest.mark.parametrize("name", CASES)
@given(time=st.integers(2, 25), cut=st.integers(1, 24), missing=st.floats(0, 1), seed=st.integers(0, 999))
def test_whole_is_steps_is_chunks(name: str, time: int, cut: int, missing: float, seed: int) -> None:
    forward, step, start = CASES[name]
    x = sequence(time, missing=missing, seed=seed)
    cut = min(cut, time - 1)
    whole, final = forward(x, start(x))
    _, middle = forward(x[:, :cut], start(x))
    rest, chunked = forward(x[:, cut:], middle)
    state = start(x)
    for t in range(time):
        state = step(x[:, t], state)
    for got, want in ((rest, tuple(part[:, cut:] for part in flat(whole))), (chunked, final), (state, final)):
        for a, b in zip(flat(got), flat(want), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_no_gradient_flows_through_what_is_missing() -> None:
    x = sequence(20).requires_grad_()
    start = CASES["lags"][2](x), running.running_start(3, 2, x)
    (rings, _), _ = lags_pair(x, start[0])
    mean, spread = running.level_and_spread(running.running_forward(x, start[1], DECAY))
    (rings.square().sum() + mean.sum() + spread.sum()).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad[x.isnan()] == 0).all()
    assert (x.grad[~x.isnan()] != 0).any()
