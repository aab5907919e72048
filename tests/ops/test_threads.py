"""Small networks answer on one thread, and the caller's count is put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from statewise.ops.threads import is_small, one_thread


@pytest.fixture(autouse=True)
def _two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_the_count_is_put_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), one_thread():
        raise ValueError("inside")
    assert torch.get_num_threads() == 2


def test_nothing_changes_where_it_is_not_wanted() -> None:
    with one_thread(when=False):
        assert torch.get_num_threads() == 2


def test_size_decides() -> None:
    assert is_small(nn.Linear(64, 64))
    assert not is_small(nn.Linear(512, 512))
