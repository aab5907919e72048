from __future__ import annotations

import pytest
import torch
from torch import nn

from statewise.training.optimizer import (
    OPTIMIZERS,
    clip,
    global_norm,
    gradients,
    make_optimizer,
    set_learning_rate,
)

PLAIN = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def _layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_fast_form_equals_the_plain_one(name: str) -> None:
    fast, plain = _layers(), _layers()
    x = torch.randn(16, 5, dtype=torch.float64)
    one = make_optimizer(name, fast.parameters(), weight_decay=0.0)
    other = PLAIN[name](plain.parameters(), weight_decay=0.0, foreach=False)
    for step in range(10):
        for net, optimizer in ((fast, one), (plain, other)):
            set_learning_rate(optimizer, 0.01 * (step + 1))
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    assert all(
        torch.allclose(a, b, rtol=1e-12) for a, b in zip(fast.parameters(), plain.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_matrices_decay(name: str) -> None:
    net = _layers()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = make_optimizer(name, net.parameters(), weight_decay=0.5)
    set_learning_rate(optimizer, 0.1)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, old in zip(net.parameters(), before, strict=True):
        assert torch.equal(p, old) == (p.dim() < 2)


@pytest.mark.parametrize("largest", [0.0, 0.01, 1e9])
def test_clipping_equals_torch(largest: float) -> None:
    ours, theirs = _layers(), _layers()
    for net in (ours, theirs):
        net(torch.ones(3, 5, dtype=torch.float64)).sum().backward()
    ours[0].bias.grad = None
    theirs[0].bias.grad = None
    norm = global_norm(gradients(ours.parameters())).item()
    want = nn.utils.clip_grad_norm_(theirs.parameters(), largest or float("inf")).item()
    assert norm == pytest.approx(want, rel=1e-12)
    assert clip(gradients(ours.parameters()), norm, largest) == (0 < largest < norm)
    pairs = zip(gradients(ours.parameters()), gradients(theirs.parameters()), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in pairs)
