"""The ensemble: a lawful recurrence whose outputs are the members' mean."""

from __future__ import annotations

import torch

from statewise.cells.gru import GRU
from statewise.nn.ensemble import Ensemble
from statewise.testing import check_recurrence


def test_the_law() -> None:
    check_recurrence(lambda: Ensemble([GRU(3, 4), GRU(3, 4)]), 3)


def test_the_output_is_the_mean_and_each_member_keeps_its_own_state() -> None:
    torch.manual_seed(0)
    one, other = GRU(3, 4), GRU(3, 4)
    both = Ensemble([one, other])
    x = torch.randn(2, 5, 3)
    (y, state), (a, first), (b, second) = both(x), one(x), other(x)
    torch.testing.assert_close(y, (a + b) / 2)
    assert not torch.allclose(a, b)
    assert torch.equal(state[0].hidden, first.hidden)
    assert torch.equal(state[1].hidden, second.hidden)
    y, state = both.step(x[:, 0], state)
    torch.testing.assert_close(y, (one.step(x[:, 0], first)[0] + other.step(x[:, 0], second)[0]) / 2)


def test_every_member_is_trained_and_stored() -> None:
    both = Ensemble([GRU(3, 4), GRU(3, 4)])
    assert {name.split(".")[1] for name in both.state_dict()} == {"0", "1"}
    both(torch.randn(2, 5, 3))[0].sum().backward()
    assert all(weight.grad is not None for weight in both.parameters())
