"""Against the printed table of Student's t, and against closed forms for 1 and 2 degrees of freedom."""

import math

import pytest

from statewise.comparing.student import quantile, tail

# 97.5 % points as printed in every textbook.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize(("freedom", "point"), TABLE.items())
def test_the_table(freedom: int, point: float) -> None:
    assert quantile(0.95, freedom) == pytest.approx(point, abs=6e-4)
    assert tail(-point, freedom) == pytest.approx(0.05, abs=5e-5)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 7.0, 40.0])
def test_closed_forms(t: float) -> None:
    assert tail(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-9)
    assert tail(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-9)


def test_many_degrees_of_freedom_are_the_normal() -> None:
    assert tail(1.96, 1e9) == pytest.approx(0.05, abs=3e-4)
