"""The law for every way of pooling; whole sequences at once give what the running form ends with."""

from __future__ import annotations

import pytest
import torch

from statewise.core.errors import ConfigError
from statewise.nn.pooling import LOWEST, POOLS, AttentionPool, Pooling
from statewise.recurrence import last_real
from statewise.testing import check_recurrence

ALL = tuple(POOLS)


@pytest.mark.parametrize("kind", ALL)
def test_the_law_of_one(kind):
    check_recurrence(lambda: POOLS[kind](5), 5)


def test_the_law_of_all_together():
    check_recurrence(lambda: Pooling(4, ALL), 4)


@pytest.mark.parametrize("kind", ALL)
def test_the_end_is_what_the_running_form_ends_with(kind):
    torch.manual_seed(0)
    pool, x, lengths = POOLS[kind](3).double(), torch.randn(4, 6, 3).double(), torch.tensor([6, 1, 3, 5])
    poisoned = torch.where(torch.arange(6).view(1, 6, 1) < lengths.view(4, 1, 1), x, torch.nan)
    running, _ = pool(poisoned, None, lengths)
    torch.testing.assert_close(pool.end(poisoned, lengths), last_real(running, x[:, 0], lengths))
    torch.testing.assert_close(pool.end(x), pool(x)[0][:, -1])


def test_pooling_by_hand():
    x = torch.tensor([[[1.0], [4.0], [-2.0]]])
    pooled, _ = Pooling(1, ("max", "mean", "last"))(x)
    assert pooled[0].tolist() == [[1.0, 1.0, 1.0], [4.0, 2.5, 4.0], [4.0, 1.0, -2.0]]


def test_attention_shares_sum_to_one_and_favour_a_high_score():
    torch.manual_seed(0)
    pool = AttentionPool(2)
    with torch.no_grad():
        pool.query.weight.copy_(torch.eye(2))
        pool.query.bias.zero_()
        pool.value.weight.copy_(torch.tensor([[5.0, 0.0]]))
    shares = pool.weights(torch.tensor([[[0.0, 1.0], [3.0, 0.0], [9.0, 9.0]]]), torch.tensor([2])).detach()
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0, 1] > 0.9
    assert shares[0, 2] == 0


def test_an_empty_row_has_no_end_to_speak_of():
    x, none = torch.full((1, 2, 3), torch.nan), torch.tensor([0])
    assert Pooling(3, ("max",)).end(x, none).tolist() == [[pytest.approx(LOWEST)] * 3]
    assert Pooling(3, ("mean", "attention", "last")).end(x, none).tolist() == [[0.0] * 9]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("meen",), "pooling: no such pooling 'meen'. Did you mean 'mean'?"),
        ((), "pooling: got (), want a list of some of max, mean, attention, last."),
        ("max", "pooling: got 'max', want a list of some of max, mean, attention, last."),
        (("max", "max"), "pooling: got ['max', 'max'], want each of them once."),
    ],
)
def test_errors(kinds, message):
    with pytest.raises(ConfigError) as error:
        Pooling(4, kinds)
    assert str(error.value) == message
