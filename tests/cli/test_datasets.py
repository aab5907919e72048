"""`statewise datasets`: the catalogue, and one entry in full."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from statewise.cli.main import main
from statewise.data.datasets import CATALOGUE


def test_the_catalogue_has_a_line_per_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    head, *lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert head.split() == ["name", "from", "licence", "size"]
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert next(line for line in lines if line.startswith("nyc_flights")).split()[1] == "package"


def test_one_entry_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "nyc_flights"]) == 0
    out = capsys.readouterr().out
    assert "  target    departures, delay\n" in out
    assert f"  cite      {CATALOGUE['nyc_flights'].citation}\n" in out


def test_an_unknown_name_gets_a_suggestion(refused: Callable[..., str]) -> None:
    assert refused("datasets", "etth3").endswith("Did you mean 'etth2'?")
