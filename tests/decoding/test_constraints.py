"""What a hypothesis may go on with."""

from __future__ import annotations

import torch

from statewise.decoding.constraints import forced, within_length, without_repeats

EVEN = torch.full((2, 5), 0.2).log()
END = 0


def allowed(log_probs: torch.Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero().flatten().tolist() for row in log_probs]


def test_forced_rows_have_one_way_on() -> None:
    assert allowed(forced(EVEN, torch.tensor([3, -1]))) == [[3], [0, 1, 2, 3, 4]]
    assert torch.equal(forced(EVEN, torch.tensor([3, -1]))[0, 3], EVEN[0, 3])


def test_what_would_repeat_an_ngram_is_taken_away() -> None:
    tokens = torch.tensor([[1, 2, 3, 1, 2], [4, 4, 4, 1, 2]])
    assert allowed(without_repeats(EVEN, tokens, 3)) == [[0, 1, 2, 4], [0, 1, 2, 3, 4]]
    assert allowed(without_repeats(EVEN, tokens, 1)) == [[0, 4], [0, 3]]
    assert allowed(without_repeats(EVEN, tokens, 0)) == [[0, 1, 2, 3, 4]] * 2
    assert allowed(without_repeats(EVEN, tokens[:, :1], 2)) == [[0, 1, 2, 3, 4]] * 2


def test_lengths() -> None:
    most = torch.tensor([2, 9])
    assert allowed(within_length(EVEN, 1, 3, most, END)) == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert allowed(within_length(EVEN, 2, 3, most, END)) == [[END], [1, 2, 3, 4]]
    assert allowed(within_length(EVEN, 3, 3, most, END)) == [[END], [0, 1, 2, 3, 4]]
    assert torch.equal(EVEN, torch.full((2, 5), 0.2).log())  # nothing is changed in place
