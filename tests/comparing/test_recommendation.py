"""The sentences, to the letter, on entries made by hand."""

from __future__ import annotations

import math
from typing import Any

from statewise.comparing.entry import Entry, Spread
from statewise.comparing.job import CUT_SHORT, FAILED, FINISHED
from statewise.comparing.judgement import Gap
from statewise.comparing.limits import Limits
from statewise.comparing.live_cost import LiveCost
from statewise.comparing.recommendation import Advice, advise

NAIVE = Entry("naive", False, FINISHED, seeds=1, loss=Spread(1.0))
DRIFT = Entry("drift", False, FINISHED, seeds=1, loss=Spread(1.5))


def cell(name: str, loss: float, p: float, half_width: float = 0.05, **more: Any) -> Entry:
    settings = {
        "seeds": 3,
        "settings": {"cell": name, "hidden_size": 64},
        "parameters": 12_345,
        "step_seconds": 1e-4,
        "state_bytes": 2000,
        "weight_bytes": 50_000,
        "train_processor_seconds": 10.0,
    }
    gap = Gap(loss, 1.0, half_width, p)
    return Entry(
        name,
        True,
        more.pop("status", FINISHED),
        loss=Spread(loss, 0.01),
        gap=gap,
        p=p,
        **{**settings, **more},
    )


def advice(*entries: Entry, between: Gap | None = None) -> Advice:
    return advise(entries, NAIVE, "MASE", lambda a, b: between or Gap(0.5, 0.5, 0.1, 1.0))


def test_a_winner_and_those_that_cannot_be_told_from_it() -> None:
    fast = cell("fast", 0.72, 0.002, step_seconds=5e-5, train_processor_seconds=2.0)
    same = cell("same", 0.73, 0.002)
    found = advice(cell("best", 0.7, 0.001), fast, same, NAIVE, DRIFT, between=Gap(0.72, 0.7, 0.03, 0.3))
    assert found.name == "best"
    assert found.text == (
        "Use best (hidden size 64, 12,345 parameters): MASE 0.700 ± 0.010 against 1.000 of naive, the best "
        "baseline: 30.0 % better (difference -0.300 ± 0.050, 95 %, paired over origins, 3 seeds; p = 0.001, "
        "corrected for 3 cells). A live step takes 100 µs, the state of a session 2 kB, the weights 50 kB.\n"
        "fast and same cannot be told from it; where it matters: fast has a step 2.0 times as fast and a "
        "training 5.0 times as fast."
    )


def test_one_that_is_clearly_worse_is_not_offered() -> None:
    fast = cell("fast", 0.8, 0.002, step_seconds=5e-5)
    found = advice(cell("best", 0.7, 0.001), fast, NAIVE, between=Gap(0.8, 0.7, 0.03, 0.001))
    assert len(found.text.splitlines()) == 1


def test_better_by_what_may_be_luck() -> None:
    found = advice(cell("lstm", 0.98, 0.4), NAIVE)
    assert found.name == "naive"
    assert found.text == (
        "Use naive, the best baseline: no cell beats it by more than luck. lstm has MASE 0.980 ± 0.010 "
        "against 1.000, 2.0 % better, which may be luck (difference -0.020 ± 0.050, 95 %, paired over "
        "origins, 3 seeds; p = 0.4)."
    )


def test_too_few_origins() -> None:
    found = advice(cell("lstm", 0.5, 1.0, math.inf), NAIVE)
    assert found.text == (
        "Use naive, the best baseline, until more is known: too few origins to tell any cell from it (lstm "
        "has MASE 0.500 ± 0.010 against 1.000). Give more."
    )


def test_limits_say_by_how_much() -> None:
    over = Limits(1e-4, 10_000).broken_by(LiveCost(2.5e-4, 3000, 12_000))
    assert over == (
        "a step takes 250 µs, 2.5 times the latency limit of 100 µs",
        "state and weights take 15 kB, 1.5 times the memory limit of 10 kB",
    )
    found = advice(cell("lstm", 0.5, 0.001, over_limits=over[:1]), cell("gru", 0.8, 0.01), NAIVE)
    assert found.name == "gru"
    assert found.text.splitlines()[-1] == (
        "lstm is left out: a step takes 250 µs, 2.5 times the latency limit of 100 µs. "
        "It would be the best without the limit."
    )
    assert Limits(1e-3, None).broken_by(LiveCost(1e-3, 1, 1)) == ()


def test_what_failed_is_said_and_never_recommended() -> None:
    failed = cell("lstm", 0.5, 0.001, status=FAILED, message="loss is NaN at step 3.")
    short = cell(
        "gru", 0.8, 0.01, status=CUT_SHORT, message="training stopped by the clock after 7 steps (median)"
    )
    found = advice(failed, short, NAIVE)
    assert found.name == "gru"
    assert found.text.endswith(
        "\nlstm failed: loss is NaN at step 3.\n"
        "gru was cut short: training stopped by the clock after 7 steps (median). "
        "A larger budget would say more."
    )


def test_nothing_to_compare_with() -> None:
    found = advise([cell("lstm", 0.5, 0.001)], None, "MASE", lambda a, b: Gap(0, 0, 0, 1))
    assert found.name == ""
    assert found.text == "No baseline could be scored, so nothing can be recommended."
