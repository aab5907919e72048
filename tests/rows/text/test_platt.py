"""Probabilities put right."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.rows.text.platt import AS_THEY_ARE, Platt, fit_platt


def test_there_and_back() -> None:
    platt = Platt(0.7, -1.2)
    for probability in (0.001, 0.3, 0.999):
        assert platt.before(platt.after(probability)) == pytest.approx(probability)
    assert platt.after(0.0) < 1e-6
    assert AS_THEY_ARE.after(0.42) == pytest.approx(0.42)


def test_what_was_too_sure_is_put_right() -> None:
    rng = np.random.default_rng(0)
    true = Platt(0.5, -0.4)
    said = rng.uniform(0.02, 0.98, 20_000)
    right = rng.random(len(said)) < [true.after(p) for p in said]
    found = fit_platt(said, right)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.shift == pytest.approx(-0.4, abs=0.05)
    made = np.array([found.after(p) for p in said])
    assert abs(made.mean() - right.mean()) < 1e-3


def test_left_as_they_are() -> None:
    assert fit_platt([0.5] * 5, [True] * 5) == AS_THEY_ARE  # too few
    said = np.linspace(0.05, 0.95, 200)
    assert fit_platt(said, said < 0.5) == AS_THEY_ARE  # the likelier, the worse


def test_all_right_and_all_wrong_end() -> None:
    for right in (True, False):
        found = fit_platt(np.linspace(0.1, 0.9, 100), [right] * 100)
        assert 0 < found.slope < 100
