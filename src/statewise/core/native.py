"""The compiled kernels: built with the package, or not (everything runs without them, slower).

The environment variable STATEWISE_NATIVE holds "0" for none, or the path of another build (a sanitizer's).
STATEWISE_SIMD asks for an instruction set: "plain", "avx2" or "avx512", never more than the machine has.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
from functools import cache
from types import ModuleType


@cache
def extension() -> ModuleType | None:
    """The module of kernels, or None when it was not built or is switched off."""
    asked = os.environ.get("STATEWISE_NATIVE", "")
    if asked == "0":
        return None
    if asked:
        return _from_file(asked)
    try:
        return importlib.import_module("statewise._native")
    except ImportError:
        return None


def _from_file(path: str) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader("_native", path)
    spec = importlib.util.spec_from_file_location("_native", path, loader=loader)
    if spec is None:
        raise ImportError(f"STATEWISE_NATIVE: no extension at '{path}'.")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
