"""A bundle with everything in it that is hard to store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from statewise.bundle import Bundle, TensorSpec, write_bundle

GENERATOR = np.random.default_rng(0)
EXAMPLE = Bundle(
    kind="forecast",
    config={"cell": "gru", "hidden_size": 3, "nested": {"levels": [0.1, 1e-300]}},
    codec={"mean": [31.2], "target": ["y"]},
    quantiles=(0.1, 0.5, 0.9),
    weights={
        "b.weight": GENERATOR.normal(size=(4, 3)).astype(np.float32),
        "a.bias": np.array([np.nan, np.inf, -0.0]),
    },
    inputs=(TensorSpec("now", (5,)), TensorSpec("future", (24, 0))),
    state={"1.hidden": np.zeros((1, 3), np.float32), "0.keep": np.zeros((1, 0), bool), "2": np.array([7])},
    samples=({"row": {"ds": "2024-01-01", "y": None}, "answer": [[0.1, 2.5]]}, {"row": {"ds": "ü"}}),
    card="# Load\n\nHow much tomorrow.\n",
    step_onnx=b"\x08\x0a graph",
)


def as_bytes(tmp_path: Path, bundle: Bundle = EXAMPLE) -> bytes:
    write_bundle(tmp_path / "load.sw", bundle)
    return (tmp_path / "load.sw").read_bytes()
