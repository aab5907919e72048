"""Numbers and categories to channels."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.rows.columns import Column, fit_categories, fit_number

NAN = np.nan


def test_levels_are_those_of_all_rows_without_the_missing() -> None:
    column = fit_number("y", "target", [np.array([1.0, NAN]), np.array([3.0, 5.0])])
    assert column.mean == 3.0
    assert column.scale == pytest.approx(np.std([1, 3, 5]))
    np.testing.assert_allclose(column.encode(np.array([3.0, NAN]), None), [[0.0], [NAN]])


@pytest.mark.parametrize("values", [[7.0, 7.0], [7.0], [0.1 + 0.2, 0.3], []])
def test_a_constant_keeps_scale_one(values: list[float]) -> None:
    column = fit_number("y", "target", [np.array(values)])
    assert column.scale == 1.0
    assert column.mean == pytest.approx(values[0] if values else 0.0)


def test_flags_stay_as_they_are_unless_they_are_the_target() -> None:
    flags = [np.array([0.0, 1.0, 0.0, 0.0])]
    assert fit_number("holiday", "known", flags) == Column("holiday", "known")
    assert fit_number("y", "target", flags).mean == 0.25


def test_categories_are_those_of_the_training_rows() -> None:
    column = fit_categories("place", "known", [np.array([2.0, NAN, 0.0])], ["rome", "oslo", "bonn"])
    assert column.categories == ("bonn", "rome")
    assert column.channels == ("place=bonn", "place=rome")
    hot = column.encode(np.array([0.0, 1.0, 2.0, NAN]), ["bonn", "oslo", "rome"])
    np.testing.assert_array_equal(hot, [[1, 0], [0, 0], [0, 1], [NAN, NAN]])
