"""Run a test in the compiled and in the pure-PyTorch form of an operation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from statewise.core.native import extension
from statewise.ops.native import without_native

FORMS = ("compiled", "torch")


def in_form(form: str) -> Iterator[None]:
    """For a fixture: until the test ends, operations take the form named; skipped where it is not built."""
    if form == "compiled":
        if extension() is None:
            pytest.skip("the kernels are not built")
        yield
        return
    with without_native():
        yield
