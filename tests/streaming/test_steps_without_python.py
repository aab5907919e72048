"""The step kernels as a C library: the native test program, built and run on programs of every cell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler"),
    pytest.mark.skipif(shutil.which("cmake", path=PATH) is None, reason="needs cmake"),
]


def run(*command: str, **more: str) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": PATH, **more}
    )
    return done.stdout


@pytest.mark.parametrize("target", ["plain", "avx2", "avx512"])
def test_all_steps_hold(target: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "steps"
    if not folder.exists():
        folder.mkdir()
        found = f"-DPython_EXECUTABLE={sys.executable}"
        run("cmake", "-S", str(ROOT), "-B", str(folder), "-DSTATEWISE_KERNELS=linear_scan", found)
        run("cmake", "--build", str(folder), "--target", "steps_test", "-j2")
        run(sys.executable, str(ROOT / "scripts" / "step_programs.py"), str(folder))
    programs = sorted(str(path) for path in folder.glob("*.steps"))
    assert programs
    assert run(str(folder / "steps_test"), *programs, STATEWISE_SIMD=target) == "all steps hold\n"
