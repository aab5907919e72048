"""Where the compiled kernels come from, and how they are switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from statewise.core.native import extension
from statewise.ops.native import native_for, without_native

TARGETS = {"plain", "avx2", "avx512"}
needs_native = pytest.mark.skipif(extension() is None, reason="the kernels are not built")


def asked(program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("STATEWISE_")}
    command = [sys.executable, "-c", f"from statewise.core.native import extension\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, env=given | settings)


def test_switched_off() -> None:
    assert asked("print(extension())", STATEWISE_NATIVE="0").stdout == "None\n"


@needs_native
def test_an_instruction_set_is_asked_for() -> None:
    assert asked("print(extension().target())", STATEWISE_SIMD="plain").stdout == "plain\n"
    assert asked("print(extension().target())").stdout.strip() in TARGETS


def test_a_build_that_is_not_there(tmp_path: Path) -> None:
    done = asked("extension()", STATEWISE_NATIVE=str(tmp_path / "missing.so"))
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "missing.so" in done.stderr


@needs_native
def test_what_the_kernels_take() -> None:
    x = torch.ones(2)
    assert native_for(x, None, torch.nn.Parameter(x)) is not None
    assert native_for(x, x.double()) is None
    assert native_for(x.bfloat16()) is None
    assert native_for(x.to(torch.complex64)) is None
    assert native_for(x.to("meta")) is None
    with without_native():
        assert native_for(x) is None
    assert native_for(x) is not None
