"""Writes a step program of every cell and of a language model, for tests that run without Python.

python scripts/step_programs.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from statewise.cells.table import CELLS
from statewise.nn.backbone import BackboneConfig
from statewise.nn.native_step import step_program
from statewise.recurrence import Recurrence
from statewise.tasks.language_network import LanguageConfig, LanguageNetwork

OPTIONS = {"attention": {"window": 8}}


def main() -> None:
    """Write `<name>.steps` and `<name>_int8.steps` into the folder: float32, and weights in 8 bits."""
    folder = Path(sys.argv[1])
    for name, cell in CELLS.items():
        torch.manual_seed(0)
        _write(folder, name, cell.make(5, 24, **OPTIONS.get(name, {})), {"x": (5,)})
    torch.manual_seed(0)
    _write(
        folder, "language", LanguageNetwork(40, BackboneConfig("gru", 24), LanguageConfig(12)), {"item": ()}
    )


def _write(folder: Path, name: str, made: Recurrence, inputs: Mapping[str, Sequence[int]]) -> None:
    ids = [each for each, shape in inputs.items() if not shape]
    for ending, int8 in (("", False), ("_int8", True)):
        program = step_program(made.eval(), inputs, ids=ids, int8=int8)
        (folder / f"{name}{ending}.steps").write_bytes(program)


if __name__ == "__main__":
    main()
