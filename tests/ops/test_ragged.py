"""Laying rows end to end and back."""

from __future__ import annotations

import pytest
import torch

from statewise.ops.native import without_native
from statewise.ops.ragged import pack, unpack


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("counts", [[4, 0, 2, 1, 4], [0, 0], [], [4]], ids=str)
def test_there_and_back(counts: list[int], dtype: torch.dtype) -> None:
    lengths = torch.tensor(counts, dtype=torch.int32)
    x = torch.randn(len(counts), 4, 3, dtype=dtype)
    real = torch.arange(4) < lengths[:, None]
    x[~real] = float("nan")
    leaf = x.clone().requires_grad_()
    steps = pack(leaf, lengths)
    assert torch.equal(steps, x[real])
    padded = unpack(steps, lengths, len(counts), 4)
    assert torch.equal(padded[real], x[real])
    assert (padded[~real] == 0).all()
    (2 * padded).sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, 2.0 * real[:, :, None].expand_as(x).to(dtype))
    with without_native():
        assert torch.equal(pack(x, lengths), steps)
        assert torch.equal(unpack(steps, lengths, len(counts), 4), padded)


def test_no_lengths_copy_nothing() -> None:
    x = torch.randn(2, 3, 4)
    steps = pack(x, None)
    assert steps.data_ptr() == unpack(steps, None, 2, 3).data_ptr() == x.data_ptr()
