"""What all launches share: the device, tensors as kernels read them, and how many programs there are."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import torch
from torch import Tensor

PROGRAMS = 8  # per multiprocessor, to hide the latency of memory behind one another; chosen, not measured


def on_device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Triton starts kernels on the current device, so that of `tensor` is made the current one."""
    return torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]


def contiguous(*tensors: Tensor | None) -> list[Any]:
    """Every tensor as the kernels read it; None stays None."""
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def span_of(time: int, programs: int, shortest: int, like: Tensor) -> int:
    """Steps per program so that `programs` lines of `time` steps fill the device of `like`."""
    wanted = -(-PROGRAMS * _processors(like.device) // max(1, programs))
    return max(min(shortest, time), -(-time // wanted))


@cache
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
