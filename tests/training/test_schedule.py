from __future__ import annotations

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from statewise.training.schedule import constant, cosine, done_share, one_cycle

STEPS = 40


def _torch_rates(make: type[LRScheduler], **options: object) -> list[float]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **options)  # type: ignore[arg-type]
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_one_cycle_equals_torch() -> None:
    # torch counts one step less than its total, and turns at pct_start * total - 1.
    options = {"max_lr": 1.0, "total_steps": STEPS + 1, "pct_start": (0.3 * STEPS + 1) / (STEPS + 1)}
    assert [one_cycle(step / STEPS) for step in range(STEPS)] == pytest.approx(
        _torch_rates(OneCycleLR, cycle_momentum=False, **options), rel=1e-12
    )


def test_cosine_equals_torch() -> None:
    assert [cosine(step / STEPS) for step in range(STEPS)] == pytest.approx(
        _torch_rates(CosineAnnealingLR, T_max=STEPS), rel=1e-12
    )


def test_ends() -> None:
    assert one_cycle(0.3) == 1
    assert one_cycle(1) == pytest.approx(4e-6)
    assert cosine(1) == 0
    assert constant(0.7) == 1


def test_the_further_of_steps_and_time_counts() -> None:
    inf = float("inf")
    assert done_share(25, 100, 10, inf) == 0.25
    assert done_share(25, inf, 30, 60) == 0.5
    assert done_share(25, 100, 30, 60) == 0.5
    assert done_share(99, 100, 90, 60) == 1
