"""When an operation takes its GPU kernels. None of this needs Triton or a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import statewise
from statewise.ops import gpu


def test_tensors_on_the_processor_take_no_gpu_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "wanted", lambda: True)
    assert gpu.gpu_for("linear_scan", torch.zeros(1), None) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_other_numbers_take_none(dtype: torch.dtype) -> None:
    with gpu.through_kernels():
        assert gpu.gpu_for("linear_scan", torch.zeros(1, dtype=dtype)) is None


def test_two_dtypes_take_none() -> None:
    with gpu.through_kernels():
        assert gpu.gpu_for("linear_scan", torch.zeros(1), torch.zeros(1).double()) is None


def test_a_mapped_call_takes_none() -> None:
    def found(x: torch.Tensor) -> torch.Tensor:
        assert gpu.gpu_for("linear_scan", x) is None
        return x

    with gpu.through_kernels():
        torch.vmap(found)(torch.zeros(2, 3))


@pytest.mark.parametrize("setting", ["", "0", "yes"])
def test_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("STATEWISE_TRITON", setting)
    assert gpu.wanted.__wrapped__() is False


def test_the_operations_do_not_load_triton() -> None:
    names = "causal_conv, linear_scan, selective_scan, ssd, gpu"
    code = f"import sys; from statewise.ops import {names}; print('triton' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(statewise.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (run.stdout.strip(), run.returncode) == ("False", 0), run.stderr
