from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError, ShapeError
from statewise.data.chunks import cut, to_device


@given(time=st.integers(1, 12), length=st.integers(1, 14))
def test_chunks_in_order_put_together_are_the_lanes(time: int, length: int) -> None:
    x = torch.arange(2 * time * 3.0).view(2, time, 3)
    tags = torch.arange(2 * time).view(2, time)
    chunks = list(cut((x, (tags,)), tags, torch.ones(2, time), length))
    assert [chunk.fresh for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert all(chunk.weight.shape[1] == length for chunk in chunks[:-1])
    assert torch.equal(torch.cat([chunk.inputs[0] for chunk in chunks], 1), x)
    assert torch.equal(torch.cat([chunk.inputs[1][0] for chunk in chunks], 1), tags)
    assert torch.equal(torch.cat([chunk.target for chunk in chunks], 1), tags)


def test_no_chunk_length_gives_the_whole_lanes_without_a_copy() -> None:
    x = torch.zeros(2, 7, 1)
    (chunk,) = cut(x, x, torch.ones(2, 7), None)
    assert chunk.fresh
    assert chunk.inputs.shape == x.shape
    assert chunk.inputs.data_ptr() == x.data_ptr()


def test_empty_lanes_give_no_chunk() -> None:
    assert list(cut(torch.zeros(2, 0, 1), torch.zeros(2, 0), torch.ones(2, 0), None)) == []


def test_parts_that_differ_are_named() -> None:
    x, weight = torch.zeros(2, 7, 1), torch.ones(2, 7)
    with pytest.raises(
        ShapeError, match=r"^inputs\.1: got shape \[2, 6\], want \[2, 7\] first, as in weight\.$"
    ):
        cut((x, torch.zeros(2, 6)), x, weight, 3)
    with pytest.raises(
        ShapeError, match=r"^target: got shape \[3, 7\], want \[2, 7\] first, as in weight\.$"
    ):
        cut(x, torch.zeros(3, 7), weight, 3)
    with pytest.raises(ShapeError, match=r"^weight: got shape \[2, 7, 1\], want \[B, T\]\.$"):
        cut(x, x, torch.ones(2, 7, 1), 3)
    with pytest.raises(
        ConfigError, match=r"^chunk_length: got 0, want at least 1, or none for whole sequences\.$"
    ):
        cut(x, x, weight, 0)


def test_to_device_moves_every_tensor() -> None:
    x = torch.zeros(2, 7, 1)
    (chunk,) = cut((x, x), x, torch.ones(2, 7), None)
    moved = to_device(chunk, torch.device("meta"))
    assert {str(t.device) for t in (*moved.inputs, moved.target, moved.weight)} == {"meta"}
    assert moved.fresh
