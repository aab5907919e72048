"""The functions on states: structure in, structure out."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ShapeError


class Pair(NamedTuple):
    hidden: Tensor
    cell: Tensor


class Inner(NamedTuple):
    pair: Pair
    count: Tensor


def example(batch: int = 3) -> Any:
    pair = Pair(torch.randn(batch, 2), torch.randn(batch, 4))
    return (Inner(pair, torch.arange(batch)), torch.randn(batch, 1, 5))


def trees(batch: int) -> st.SearchStrategy[Any]:
    leaf = st.integers(0, 3).map(lambda size: torch.randn(batch, size))
    return st.recursive(leaf, lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple))


def equal(a: Any, b: Any) -> bool:
    pairs = zip(states.tensors(a), states.tensors(b), strict=True)
    return list(states.named(a)) == list(states.named(b)) and all(torch.equal(x, y) for x, y in pairs)


def test_named_leaves() -> None:
    assert list(states.named(example())) == ["0.pair.hidden", "0.pair.cell", "0.count", "1"]
    assert list(states.named(torch.zeros(1))) == ["state"]


@given(trees(2))
def test_named_and_back(tree: Any) -> None:
    assert equal(states.from_named(tree, states.named(tree)), tree)
    assert equal(states.from_tensors(tree, states.tensors(tree)), tree)


@given(trees(4))
def test_concat_of_taken_rows_is_the_whole(tree: Any) -> None:
    rows = [states.take(tree, torch.tensor([row])) for row in range(4)]
    assert equal(states.concat(rows), tree)


def test_structure_and_type_survive() -> None:
    doubled = states.map_state(lambda leaf: leaf * 2, example())
    assert isinstance(doubled[0], Inner)
    assert isinstance(doubled[0].pair, Pair)
    assert doubled[0].count.tolist() == [0, 2, 4]


def test_where_chooses_row_by_row() -> None:
    a, b = example(), example()
    mixed = states.where(torch.tensor([True, False, True]), a, b)
    assert torch.equal(mixed[1][0], a[1][0])
    assert torch.equal(mixed[1][1], b[1][1])
    assert torch.equal(mixed[0].pair.cell[2], a[0].pair.cell[2])


def test_detach_cuts_the_graph_and_keeps_the_values() -> None:
    state = (torch.ones(2, requires_grad=True) * 3,)
    assert not states.detach(state)[0].requires_grad
    assert torch.equal(states.detach(state)[0], state[0])


def test_sizes() -> None:
    state = example(3)
    assert states.batch_size(state) == 3
    assert states.size_in_bytes(state) == 3 * (2 + 4 + 5) * 4 + 3 * 8


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: states.tensors({"a": 1}), "state: got dict, want a tensor or a (named) tuple of states."),
        (
            lambda: states.map_state(torch.add, (torch.ones(1),), Pair(torch.ones(1), torch.ones(1))),
            "state: structures differ: tuple(1) and Pair(2).",
        ),
        (
            lambda: states.from_named(
                Pair(torch.ones(1), torch.ones(1)), {"hidden": torch.ones(1), "c": None}
            ),
            "state: missing leaves ['cell'], unknown leaves ['c'].",
        ),
        (
            lambda: states.from_tensors(Pair(torch.ones(1), torch.ones(1)), [torch.ones(1)]),
            "state: got 1 tensors, want 2: hidden, cell.",
        ),
        (
            lambda: states.batch_size((torch.ones(2), torch.ones(3))),
            "state: every tensor needs the batch on axis 0, got sizes {'0': 2, '1': 3}.",
        ),
    ],
)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        call()
    assert str(caught.value) == text
