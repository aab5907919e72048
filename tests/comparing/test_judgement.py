"""Differences and their intervals, on losses whose truth is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from statewise.comparing.judgement import Judge, holm
from statewise.comparing.losses import Losses
from statewise.evaluation.answers import Questions

Make = Callable[..., Losses]


@pytest.fixture
def judge(questions: Questions) -> Judge:
    return Judge(questions, 1)


def test_a_clear_difference_is_seen_and_measured(judge: Judge, losses: Make) -> None:
    gap = judge.gap([losses(0.8, 0.1, seed=s) for s in (1, 2, 3)], [losses(1.0, 0.1, seed=9)])
    assert gap.mean == pytest.approx(-0.2, abs=0.05)
    assert gap.percent == pytest.approx(-20, abs=5)
    assert gap.p < 0.001
    assert 0 < gap.half_width < 0.1


def test_equal_competitors_are_told_apart_as_seldom_as_promised(judge: Judge, losses: Make) -> None:
    p = [
        judge.gap([losses(1.0, 0.3, 10 * n + s) for s in range(3)], [losses(1.0, 0.3, 10 * n + 9)]).p
        for n in range(120)
    ]
    assert 0.005 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_seeds_that_disagree_widen_the_interval(judge: Judge, losses: Make) -> None:
    rival = [losses(1.0, 0.05, seed=9)]
    steady = judge.gap([losses(0.9, 0.05, s) for s in (1, 2, 3)], rival)
    erratic = judge.gap([losses(level, 0.05, s) for s, level in enumerate((0.5, 0.9, 1.3))], rival)
    assert steady.mean == pytest.approx(erratic.mean, abs=0.02)
    assert steady.p < 0.001
    assert erratic.p > 0.3
    assert erratic.half_width > 10 * steady.half_width


def test_the_luck_of_seeds_worked_by_hand(judge: Judge, losses: Make) -> None:
    """Constant losses: origins say nothing, so the interval is that of three means, t with 2 degrees."""
    gap = judge.gap([losses(level) for level in (0.8, 0.9, 1.0)], [losses(1.0)])
    assert gap.mean == pytest.approx(-0.1, abs=1e-6)
    assert gap.half_width == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)


def test_too_few_origins_say_nothing(questions: Questions, losses: Make) -> None:
    gap = Judge(questions, 15).gap([losses(0.5)], [losses(1.0)])
    assert math.isinf(gap.half_width)
    assert gap.p == 1.0


def test_only_steps_that_both_answered_count(judge: Judge, losses: Make) -> None:
    mine, theirs = losses(1.0, 0.1, 1), losses(1.0, 0.1, 2)
    mine.error[:5] = np.nan
    theirs.error[:5] = 100.0
    assert abs(judge.gap([mine], [theirs]).mean) < 0.1


def test_no_step_in_common_is_no_difference(judge: Judge, losses: Make) -> None:
    mine, theirs = losses(1.0), losses(1.0)
    mine.error[:15] = np.nan
    theirs.error[15:] = np.nan
    gap = judge.gap([mine], [theirs])
    assert math.isnan(gap.mean)
    assert gap.p == 1.0


def test_holm_worked_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
