"""Settings every test shares: one thread, repeatable property tests, and where the large data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch or NumPy load: small tensors are faster on one thread, and results repeat.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("statewise", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("statewise")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder named by STATEWISE_DATA; a test that asks for it is skipped without one."""
    folder = os.environ.get("STATEWISE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("STATEWISE_DATA names no folder")
    return Path(folder)
