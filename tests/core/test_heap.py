"""Freed memory is kept: the second large tensor costs no fresh pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from statewise.core.heap import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    raise SystemExit("no mallopt")
import numpy
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(8_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True)
    if done.stderr.startswith("no mallopt"):
        pytest.skip("the C library has no mallopt")
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of Linux")
def test_the_second_large_array_takes_the_memory_of_the_first() -> None:
    assert faults("keep") < 100
    assert faults("leave") > 100  # what a fresh array costs otherwise, or the test shows nothing
