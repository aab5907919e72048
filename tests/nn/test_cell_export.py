"""Every cell of the table leaves torch: its step as one graph that ONNX Runtime runs to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.streaming.engines import OnnxEngine

FIXED = {"attention": {"window": 4}}  # a graph has states of one size
QUICK = ("lru", "mamba", "conv")  # complex numbers, a convolution's window, a state of many parts


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=[] if cell in QUICK else pytest.mark.slow) for cell in CELLS]
)
def test_onnx_equals_torch_over_100_steps(cell: str) -> None:
    torch.manual_seed(1)
    backbone = Backbone(3, BackboneConfig(cell=cell, hidden_size=8, options=FIXED.get(cell, {})))
    live = LiveStep(backbone, ("x",))
    onnx = OnnxEngine(export_onnx(live, [torch.randn(1, 3)]), ("x",), live.initial_arrays(), "abc")
    engine = TorchEngine(backbone, "abc")
    ours, theirs, worst = onnx.initial(), engine.initial(), 0.0
    for x in np.random.default_rng(0).normal(size=(100, 1, 3)).astype(np.float32):
        got, ours = onnx.step((x,), ours)
        want, theirs = engine.step((x,), theirs)
        worst = max(worst, float(np.abs(got - want).max()))
    assert worst < 1e-5
    for name, leaf in engine.dump(theirs).items():
        np.testing.assert_allclose(onnx.dump(ours)[name], leaf, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_step_is_followed_whole_for_any_batch(cell: str) -> None:
    torch.manual_seed(0)
    live = LiveStep(CELLS[cell].make(3, 8, **FIXED.get(cell, {}))).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.randn(2, 3), *live.initial_leaves(2))
    shapes = (tuple({0: batch} for _ in example),)
    program = torch.export.export(live, example, dynamic_shapes=shapes)
    _, *leaves = live(torch.randn(5, 3), *live.initial_leaves(5))
    x = torch.randn(5, 3)
    torch.testing.assert_close(program.module()(x, *leaves), live(x, *leaves), check_stride=False)


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_goes_through_a_snapshot(cell: str) -> None:
    """Leaves are plain real arrays by name: safetensors holds no complex numbers."""
    engine = TorchEngine(CELLS[cell].make(3, 8), "abc")
    _, state = engine.step((np.ones((1, 3), dtype=np.float32),), engine.initial())
    leaves = engine.dump(state)
    assert all(leaf.dtype.kind in "fi" for leaf in leaves.values())
    again = engine.load(leaves)
    assert all(torch.equal(a, b) for a, b in zip(states.tensors(again), states.tensors(state), strict=True))
