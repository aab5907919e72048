"""The recurrent kernels on the instruction sets that this machine would not choose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from statewise.core.native import extension

HERE = Path(__file__).parent
SCANS = ("gru", "rnn", "lstm", "slstm")
CASE = "(27, 3, 17, True, False)-torch.float32"


@pytest.mark.skipif(extension() is None, reason="the extension is not built")
@pytest.mark.parametrize("target", ["plain", "avx2"])
def test_equals_the_equations_on(target: str) -> None:
    tests = [f"{HERE}/test_{scan}_scan.py::test_equals_the_equations[{CASE}]" for scan in SCANS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "STATEWISE_SIMD": target, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
