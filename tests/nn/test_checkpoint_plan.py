"""The plan against brute force, and against a walk that counts what it does."""

from __future__ import annotations

from functools import cache

import pytest

from statewise.core.errors import ConfigError
from statewise.nn.checkpoint_plan import Footprint, Plan, descent, fewest, plan, split, walk_back


@cache
def table(runs: int, kept: int) -> int:
    """Gruslys et al. 2016, the recursion of hidden-state memorisation as it stands."""
    if runs <= 1:
        return 0
    if kept == 0:
        return runs * (runs - 1) // 2
    return min(y + table(runs - y, kept - 1) + table(y, kept) for y in range(1, runs))


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 7, 40])
def test_closed_form_is_the_recursion(kept: int) -> None:
    for runs in range(1, 45):
        assert fewest(runs, kept) == table(runs, kept)
        if runs > 1 and kept:
            y = split(runs, kept)
            assert y + table(runs - y, kept - 1) + table(y, kept) == table(runs, kept)


@pytest.mark.parametrize(
    ("time", "run", "kept"), [(1, 1, 0), (17, 1, 0), (60, 1, 3), (61, 4, 2), (41, 4, 11)]
)
@pytest.mark.parametrize("swept", [False, True])
def test_walk_visits_every_run_backwards_in_the_room_it_has(
    time: int, run: int, kept: int, swept: bool
) -> None:
    places = Plan(time, run, kept)
    seen, steps = [], 0

    def advance(state: int, index: int) -> int:
        nonlocal steps
        start, stop = places.span(index)
        assert state == start
        steps += stop - start
        return stop

    def reverse(state: int, index: int) -> None:
        assert state == places.span(index)[0]
        seen.append(index)

    ends = [0, *(descent(0, places.runs, kept) if swept else ())]
    assert len(ends) <= kept + 2
    walk_back(places, [(index, places.span(index)[0]) for index in ends], advance, reverse)
    assert seen == list(range(places.runs))[::-1]
    first_sweep = 0 if not swept else places.span(places.runs - 1)[0]
    assert steps + first_sweep <= places.again
    if time % run == 0 or kept >= places.runs - 1:
        assert steps + first_sweep == places.again


def test_spans_cover_the_time_once() -> None:
    places = Plan(23, 5, 1)
    assert [places.span(index) for index in range(places.runs)] == [
        (0, 3),
        (3, 8),
        (8, 13),
        (13, 18),
        (18, 23),
    ]


def test_plan_fits_and_no_other_is_better() -> None:
    footprint = Footprint(state=7, fixed=20, step=11)
    for budget in (40, 80, 200, 500, 1000):
        found = plan(100, footprint, budget)
        assert footprint.fixed + found.run * footprint.step + (found.kept + 1) * footprint.state <= budget
        for kept in range(100):
            run = (budget - 20 - 7 * (kept + 1)) // 11
            if run >= 1:
                assert found.again <= Plan(100, run, kept).again


def test_enough_memory_is_plain_backpropagation() -> None:
    assert plan(100, Footprint(7, 20, 11), 1120).runs == 1
    assert plan(100, Footprint(7, 20, 11), 1119).runs > 1


def test_runs_are_no_longer_than_pays() -> None:
    found = plan(4000, Footprint(state=1, fixed=0, step=1_000_000), 3_000_000_000)
    assert found.run == 28


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        plan(100, Footprint(state=1000, fixed=500, step=500), 1500)
    assert str(error.value) == "memory: got 1.5 kB, want at least 2.02 kB, one step and its state."
