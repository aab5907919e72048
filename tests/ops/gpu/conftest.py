"""The Triton kernels are tested on a CUDA device where there is one, else in Triton's interpreter.

Triton decides at its import whether kernels are interpreted, so it is imported here, before any test runs;
what it imports later must see the same setting, but no other test.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import pytest
import torch

OPERATIONS = ("linear_scan", "selective_scan", "ssd")


def load() -> tuple[dict[str, ModuleType], str]:
    """The modules of kernels by operation, or none and the reason."""
    if importlib.util.find_spec("triton") is None:
        return {}, "Triton is not installed: pip install triton"
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            if "triton" in sys.modules:
                return {}, "no CUDA device, and Triton was imported before its interpreter could be chosen"
            patch.setenv("TRITON_INTERPRET", "1")
        return {name: importlib.import_module(f"statewise.ops.gpu.{name}") for name in OPERATIONS}, ""


KERNELS, REASON = load()


@pytest.fixture
def kernels(device: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of kernels by operation; the test is skipped where they cannot run."""
    if not KERNELS:
        pytest.skip(REASON)
    if device == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    return KERNELS


@pytest.fixture(scope="session")
def device() -> str:
    """Where the kernels run: "cuda", or "cpu" for the interpreter."""
    return "cuda" if torch.cuda.is_available() else "cpu"
