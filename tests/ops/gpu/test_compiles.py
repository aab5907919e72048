"""The interpreter takes more than the compiler does: every kernel is compiled too, which needs no GPU."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import compile_kernels
import pytest

import statewise


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles(capability: int, tmp_path: Path) -> None:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: pip install triton")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(statewise.__file__).parents[1]),
        "TRITON_CACHE_DIR": str(tmp_path),
        "TRITON_INTERPRET": "0",
    }
    command = [sys.executable, compile_kernels.__file__, str(capability)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(run.stdout.splitlines()) == sum(map(len, compile_kernels.CASES.values()))
