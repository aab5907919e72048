"""What an explanation says: sentences, tables, plain values and the picture."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from statewise.explain.explanation import Explanation
from statewise.explain.players import Player
from statewise.models.forecast import ForecastModel

PLAYERS = (
    Player("last 48 hours", "the last 48 hours", True),
    Player("season", "the season"),
    Player("wind", "wind"),
)


def make(effects: list[list[float]], subject: str = "tomorrow's forecast", origins: int = 1) -> Explanation:
    block = np.tile(np.array(effects), (origins, 1, 1))
    base = np.full((origins, block.shape[2]), 100.0)
    names = tuple(f"2024-01-0{i + 1}" for i in range(origins))
    ahead = tuple(range(1, block.shape[2] + 1))
    return Explanation("y", "", names, ahead, subject, "1h", PLAYERS, block, base, base + block.sum(1))


def test_sentence_names_the_largest_first_and_leaves_out_what_rounds_to_nothing() -> None:
    found = make([[-6.0, 0.0], [9.0, 9.0], [0.05, 0.0]])
    assert found.sentence == "The season carries 75 % of tomorrow's forecast, the last 48 hours 25 %."
    found = make([[61.0], [30.0], [9.0]])
    assert found.sentence == "The last 48 hours carry 61 % of tomorrow's forecast, the season 30 %, wind 9 %."


def test_shares_are_of_sizes_not_of_sums() -> None:
    found = make([[5.0, -5.0], [10.0, 0.0], [0.0, 0.0]])
    assert found.shares == {"last 48 hours": 0.5, "season": 0.5, "wind": 0.0}


def test_nothing_moves() -> None:
    found = make([[0.0], [0.0], [0.0]])
    assert set(found.shares.values()) == {0.0}
    assert found.sentence == "Nothing of the past moves tomorrow's forecast: it equals the baseline."


def test_table_exactly() -> None:
    assert (
        make([[3.0, -9.0], [4.0, 0.0], [0.0, 0.0]], origins=2).table()
        == """\
y, steps 1 to 2 ahead (1h each), forecast at 2 origins from 2024-01-01 to 2024-01-02

                share   mean  largest  at step
last 48 hours  75.0 %  -3.00    -9.00       +2
season         25.0 %  +2.00    +4.00       +1
wind            0.0 %      0        0       +1
baseline               100.0
forecast               99.00

Exact Shapley values: baseline + contributions = forecast (the median), step by step.
Baseline: the model's forecast with every part hidden: training means, no season, no memory.
Share: |contribution|, summed over the steps and origins, of the sum over all parts."""
    )


def test_text_is_the_table_and_the_sentence(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.explain(frame)
    assert str(found) == f"{found.table()}\n\n{found.sentence}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "the next 6 hours' forecast"),
        ({"horizon": slice(0, 1)}, "the forecast 1 hour ahead"),
        ({"horizon": slice(1, 2)}, "the forecast 2 hours ahead"),
        ({"horizon": slice(2, 6)}, "the forecast 3 to 6 steps ahead (1h each)"),
    ],
)
def test_the_subject_is_what_was_asked(
    model: ForecastModel, frame: pl.DataFrame, options: dict[str, slice], text: str
) -> None:
    assert (
        model.explain(frame, **options).sentence.partition(" % of ")[2].partition(",")[0].rstrip(".") == text
    )


def test_plain_values(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.explain(frame)
    plain = json.loads(json.dumps(found.to_mapping()))
    assert plain["shares"] == dict(found.shares)
    total = np.array(plain["baseline"]) + np.sum(list(plain["contributions"].values()), axis=0)
    np.testing.assert_allclose(total, plain["forecast"], atol=1e-9)


@pytest.mark.parametrize("steps", [1, 6])
def test_picture(model: ForecastModel, frame: pl.DataFrame, tmp_path: Path, steps: int) -> None:
    path = model.explain(frame, horizon=slice(0, steps)).picture(tmp_path / "new" / "why.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000
