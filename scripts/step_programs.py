"""Writes a step program of every cell, in float32 and in 8 bits, for tests that run without Python.

python scripts/step_programs.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from statewise.cells.table import CELLS
from statewise.nn.native_step import step_program

OPTIONS = {"attention": {"window": 8}}


def main() -> None:
    """Write `<cell>.steps` and `<cell>_int8.steps` into the folder."""
    folder = Path(sys.argv[1])
    for name, cell in CELLS.items():
        torch.manual_seed(0)
        made = cell.make(5, 24, **OPTIONS.get(name, {})).eval()
        for ending, int8 in (("", False), ("_int8", True)):
            (folder / f"{name}{ending}.steps").write_bytes(step_program(made, {"x": (5,)}, int8=int8))


if __name__ == "__main__":
    main()
