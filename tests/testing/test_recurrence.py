"""`check_recurrence` itself: a correct recurrence passes, every planted bug is caught under its item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import planted_in_batch
import planted_in_sequence
import pytest
import torch
from planted_in_sequence import OffByOne
from sound_recurrence import Memory, Sound, X
from torch import Tensor, nn

from statewise.core.errors import LawError
from statewise.recurrence import Recurrence, run_steps, zero_padding
from statewise.testing import check_recurrence

BUGS = planted_in_sequence.BUGS + planted_in_batch.BUGS


def test_a_sound_recurrence_passes() -> None:
    check_recurrence(Sound, X)


@pytest.mark.parametrize(("item", "bug", "text"), BUGS, ids=[bug.__name__ for _, bug, _ in BUGS])
def test_planted_bug_is_caught(item: int, bug: type[Sound], text: str) -> None:
    with pytest.raises(LawError) as caught:
        check_recurrence(bug, X)
    message = str(caught.value)
    assert message.startswith(f"{bug.__name__} breaks law {item} (")
    assert text in message


def test_message_says_where_and_how_much() -> None:
    with pytest.raises(LawError) as caught:
        check_recurrence(OffByOne, X)
    words = str(caught.value).split("largest difference ")[1]
    assert words.endswith(", want at most 1e-09.")
    assert float(words.split(" at [")[0]) > 0.1


class Pair(Sound):
    """Reads two inputs, one of them symbols, and gives two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, X)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, after = super().step(x[0] + self.table(x[1]), state)
        return (y, -y), after

    def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> tuple[Any, Any]:
        y, after = Sound.forward(self, zero_padding(x[0], lengths) + self.table(x[1]), state, lengths)
        return (y, -y), after

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(super().step, x, state, lengths)


def draw_pair(batch: int, time: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, time, X), torch.randint(5, (batch, time))


def test_tuples_of_inputs_and_outputs() -> None:
    check_recurrence(Pair, draw_pair)


def test_symbols_after_the_end_must_not_count() -> None:
    class LastSymbolLeaks(Pair):
        def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> tuple[Any, Any]:
            y, after = super().forward(x, state, lengths)
            if lengths is not None and x[1].shape[1]:
                last = torch.where(lengths == x[1].shape[1], 0, x[1][:, -1]) * (lengths > 0)
                after = Memory(after.hidden + last.unsqueeze(1), after.count)
            return y, after

    with pytest.raises(LawError, match=r"LastSymbolLeaks breaks law 4 .*: final state of row 2 of length 1"):
        check_recurrence(LastSymbolLeaks, draw_pair)


@pytest.mark.parametrize("size", [{"batch": 6, "time": 12}, {"batch": 1, "time": 1}])
def test_other_sizes(size: dict[str, int]) -> None:
    check_recurrence(Sound, X, **size)


def test_leaves_the_random_state_alone() -> None:
    torch.manual_seed(7)
    want = torch.rand(3)
    torch.manual_seed(7)
    check_recurrence(Sound, X)
    assert torch.equal(torch.rand(3), want)


def test_runs_in_the_mode_it_is_given() -> None:
    class Modal(Sound):
        def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            return super().step(nn.functional.dropout(x, 0.5, self.training), state)

    make: Callable[[], Recurrence] = lambda: Modal().eval()  # noqa: E731
    check_recurrence(make, X)
    with pytest.raises(LawError, match=r"call \.eval\(\) first"):
        check_recurrence(Modal, X)
