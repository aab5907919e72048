"""Names, settings and equal sizes."""

import pytest

from statewise.comparing.candidates import candidates, hidden_size_for
from statewise.core.errors import ConfigError


def test_a_name_a_pattern_and_a_mapping() -> None:
    lstm, both = candidates(["lstm", "lstm gru"], {"dropout": 0.1})
    assert (lstm.name, lstm.model["num_layers"], lstm.hidden_size, lstm.fixed) == ("lstm", 1, 64, False)
    assert both.model["num_layers"] == 2
    assert both.model["dropout"] == 0.1
    (fast,) = candidates({"fast": {"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}}, {})
    assert fast.fixed
    assert fast.model["hidden_size"] == 8
    assert fast.train == {"learning_rate": 0.01}


def test_all_is_every_cell_of_the_table() -> None:
    from statewise.cells.table import CELLS

    assert [one.name for one in candidates("all", {})] == list(CELLS)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["grru"], "cell: no such cell 'grru'. Did you mean 'gru'?"),
        ([], "cells: got none, want one or more names, such as ['lstm', 'gru']."),
        (["gru", "gru"], "cells: 'gru' is named twice."),
        (
            {"a": {"cell": "gru", "hiden_size": 8}},
            "cells: 'a': no such setting 'hiden_size'. Did you mean 'hidden_size'?",
        ),
    ],
)
def test_what_is_refused(cells: object, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        candidates(cells, {})  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_the_nearest_size_is_found_by_bisection() -> None:
    asked: list[int] = []

    def count(hidden: int) -> int:
        asked.append(hidden)
        return 4 * hidden * hidden + 100

    found = hidden_size_for(count, 40_000)
    assert found == min(range(4, 1000, 4), key=lambda h: abs(4 * h * h + 100 - 40_000))
    assert len(asked) < 25


def test_heads_that_must_divide_make_the_steps_coarser() -> None:
    def count(hidden: int) -> int:
        if hidden % 16:
            raise ConfigError("num_heads: must divide.")
        return hidden * 100

    assert hidden_size_for(count, 5_000) == 48


def test_a_cell_that_refuses_every_size_says_why() -> None:
    def count(hidden: int) -> int:
        raise ConfigError("state_size: got 0, want 1 or more.")

    with pytest.raises(ConfigError, match=r"^state_size: got 0, want 1 or more\.$"):
        hidden_size_for(count, 5_000)


def test_the_smallest_and_largest_sizes_end_the_search() -> None:
    assert hidden_size_for(lambda hidden: hidden, 1) == 4
    assert 10_000 < hidden_size_for(lambda hidden: 1, 10**9) <= 1 << 14
