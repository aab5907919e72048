"""Operations as Triton kernels for CUDA tensors: one module per operation, under the operation's name.

Nothing here is imported unless it is asked for: Triton is no dependency of the package (torch's CUDA builds
bring it) and takes seconds to load.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

_DTYPES = (torch.float32, torch.float64)
_any_device = False


def gpu_for(operation: str, *tensors: Tensor | None) -> ModuleType | None:
    """The module of Triton kernels of `operation` if they can take these tensors, else None.

    They can when STATEWISE_TRITON is "1", Triton is there, all tensors are on one CUDA device and of one
    dtype, float32 or float64, and nobody is tracing, compiling or mapping over the call.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    first = given[0]
    if not (_any_device or (first.is_cuda and wanted())):
        return None
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return None
    if first.dtype not in _DTYPES or any((t.dtype, t.device) != (first.dtype, first.device) for t in given):
        return None
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return None
    return importlib.import_module(f"{__name__}.{operation}")


@cache
def wanted() -> bool:
    """Whether the kernels are switched on and Triton can be imported."""
    return os.environ.get("STATEWISE_TRITON") == "1" and importlib.util.find_spec("triton") is not None


@contextmanager
def through_kernels() -> Iterator[None]:
    """Inside, the kernels are taken on every device (for tests: the processor needs Triton's interpreter)."""
    global _any_device
    before, _any_device = _any_device, True
    try:
        yield
    finally:
        _any_device = before
