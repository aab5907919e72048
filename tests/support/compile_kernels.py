"""Compiles every Triton kernel to machine code for the GPUs named by their capability, without needing one.

Run as a program, in a process of its own: python compile_kernels.py 80 90. Prints a line per kernel.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

NUMBERS = {
    "time", "channels", "size", "span", "count", "first", "heads", "groups", "values", "states",
    "inner", "outer", "inner_stride", "outer_stride",
}  # fmt: skip
CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "linear_scan_kernels": [
        ("ends", {"REVERSE": False}),
        ("ends", {"REVERSE": True}),
        ("carry", {"REVERSE": True}),
        ("apply", {"lengths": None}),
        ("apply_back", {}),
    ],
    "selective_scan_kernels": [
        ("spans", {"SOFTPLUS": True}),
        ("spans_back", {"SOFTPLUS": False, "gate": None, "bias": None}),
        ("carry", {"REVERSE": False}),
        ("outputs", {"SOFTPLUS": True, "lengths": None}),
        ("gradients", {"SOFTPLUS": True}),
    ],
    "ssd_kernels": [
        ("ends", {"REVERSE": True}),
        ("carry", {"REVERSE": False}),
        ("reads", {"TURNED": True, "REVERSE": True}),
        ("decays", {"lengths": None}),
    ],
}
SHAPES = {
    "linear_scan_kernels": ({"BLOCK": 128}, 1),
    "selective_scan_kernels": ({"BLOCK": 16, "STATES": 16}, 2),
    "ssd_kernels": ({"BLOCK": 256, "L": 64, "K": 32, "PRECISION": "tf32x3"}, 8),
}


def compiled(kernel: Any, constants: dict[str, Any], warps: int, capability: int) -> Any:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    names = list(inspect.signature(kernel.fn).parameters)
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: kind(name) for name in names} | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, kinds, constexprs=constants)
    return compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})


def kind(name: str) -> str:
    if name in NUMBERS:
        return "i32"
    return "*i64" if name == "lengths" else "*fp32"


def compile_module(module: ModuleType, capability: int) -> None:
    """Every case twice: for any sizes, and for sizes of 1, which Triton takes as constants."""
    name = module.__name__.rpartition(".")[2]
    shape, warps = SHAPES[name]
    for kernel, constants in CASES[name]:
        for sizes in ({}, dict.fromkeys(NUMBERS, 1), dict.fromkeys(("BLOCK", "STATES"), 1)):
            made = compiled(getattr(module, kernel), {**shape, **constants, **sizes}, warps, capability)
            assert made.asm["cubin"]
        print(capability, name, kernel, flush=True)


if __name__ == "__main__":
    from statewise.ops.gpu import linear_scan_kernels, selective_scan_kernels, ssd_kernels

    for argument in sys.argv[1:]:
        for module in (linear_scan_kernels, selective_scan_kernels, ssd_kernels):
            compile_module(module, int(argument))
