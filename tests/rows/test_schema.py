"""Roles of columns."""

from __future__ import annotations

import pytest

from statewise.core.errors import ConfigError
from statewise.rows.schema import Finding, ForecastSchema


def test_values_are_in_the_order_of_the_channels() -> None:
    schema = ForecastSchema(target=("a", "b"), static=("s",), known=("k",), observed=("o",))
    assert schema.values == ("a", "b", "o", "k", "s")


def test_one_name_or_a_list_will_do() -> None:
    schema = ForecastSchema(target="load", known=["a", "b"])  # type: ignore[arg-type]
    assert (schema.target, schema.known) == (("load",), ("a", "b"))


def test_one_role_per_column() -> None:
    with pytest.raises(ConfigError) as caught:
        ForecastSchema(known=("x",), observed=("x",))
    assert str(caught.value) == "known: column 'x' is already observed: give each column one role."
    with pytest.raises(ConfigError, match=r"^target: got no column, want at least one\.$"):
        ForecastSchema(target=())


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding("error", "y", 3, "row 3: text.")) == "y: row 3: text."
