"""When an operation may run in the compiled kernels, and how it hands its tensors over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from statewise.core.native import extension

_DTYPES = {torch.float32: "f32", torch.float64: "f64"}
_off = False


def native_for(*tensors: Tensor | None) -> ModuleType | None:
    """The compiled kernels if they can take these tensors, else None.

    They can when all are on the CPU, of one dtype float32 or float64, and nobody is tracing, compiling or
    mapping over the call (a kernel is opaque to those).
    """
    module = extension()
    if module is None or _off or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return None
    given = [tensor for tensor in tensors if tensor is not None]
    dtype = given[0].dtype
    if dtype not in _DTYPES or any(type(t) not in _PLAIN or t.dtype != dtype or not t.is_cpu for t in given):
        return None
    return None if torch._C._functorch.peek_interpreter_stack() is not None else module


_PLAIN = (Tensor, torch.nn.Parameter)


@contextmanager
def without_native() -> Iterator[None]:
    """Inside, every operation takes its pure-PyTorch form (for tests and comparisons)."""
    global _off
    before, _off = _off, True
    try:
        yield
    finally:
        _off = before


def kernel_name(name: str, like: Tensor) -> str:
    """The name of a kernel for the dtype of `like`: "linear_scan_forward_f32"."""
    return f"{name}_{_DTYPES[like.dtype]}"


def pointer(tensor: Tensor | None) -> int:
    """Where the values of a contiguous tensor begin; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def threads() -> int:
    """How many threads a kernel may use: as many as torch does."""
    return torch.get_num_threads()
