"""The law holds for cells that run through the kernels."""

from __future__ import annotations

from types import ModuleType

import pytest

from statewise.cells.table import CELLS
from statewise.ops.gpu import through_kernels
from statewise.ops.native import without_native
from statewise.testing.recurrence import check_recurrence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rglru", {}),
        ("mamba", {"state_size": 2}),
        ("mamba2", {"state_size": 2, "num_heads": 1, "expand": 1}),
    ],
)
def test_the_law_through_the_kernels(
    kernels: dict[str, ModuleType],
    device: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, int],
) -> None:
    if device != "cpu":
        pytest.skip("the law is checked on the processor")
    monkeypatch.setattr(kernels["ssd"], "STEPS", 2)  # several chunks in the few steps of the check
    monkeypatch.setattr(kernels["ssd"], "BLOCK", 2)
    calls = []
    for module, operation in ((kernels[o], o) for o in kernels):
        plain = getattr(module, operation)
        monkeypatch.setattr(module, operation, lambda *a, run=plain, **k: calls.append(1) or run(*a, **k))
    with through_kernels(), without_native():
        check_recurrence(lambda: CELLS[name].make(2, 2, **options), 2, batch=3, time=4)
    assert calls
