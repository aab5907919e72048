"""Kept states: copies, in room that is taken once and used again."""

from __future__ import annotations

import torch

from statewise.nn.recompute import Shelf, draws_apart, resume


def test_a_held_state_is_a_copy_with_its_draws() -> None:
    x = torch.randn(3, 4)
    held = Shelf(2, training=True).hold(x)
    want, drawn = x.clone(), torch.rand(5)
    x.zero_()
    assert torch.equal(resume(held), want)
    assert torch.equal(torch.rand(5), drawn)


def test_room_is_used_again() -> None:
    shelf = Shelf(2, training=False)
    one, two = shelf.hold(torch.zeros(3)), shelf.hold(torch.ones(3))
    places = {held.state.data_ptr() for held in (one, two)}
    full = shelf.hold(torch.full((3,), 2.0))
    assert full.state.data_ptr() not in places
    del one
    again = shelf.hold(torch.full((3,), 3.0))
    assert again.state.data_ptr() in places
    assert two.state.tolist() == [1.0] * 3


def test_a_state_that_grows_gets_room_of_its_own() -> None:
    shelf = Shelf(2, training=False)
    assert shelf.hold((torch.zeros(1, 2), torch.zeros(1))).state[0].shape == (1, 2)
    assert shelf.hold((torch.zeros(1, 3), torch.zeros(1))).state[0].shape == (1, 3)


def test_draws_inside_are_forgotten() -> None:
    torch.manual_seed(0)
    want = torch.rand(3)
    torch.manual_seed(0)
    with draws_apart(torch.zeros(1)):
        torch.rand(7)
    assert torch.equal(torch.rand(3), want)
