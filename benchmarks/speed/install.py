"""`pip install .` in a fresh environment with a compiler and no torch: the seconds, and what an import costs.

python -m benchmarks.speed.install
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.recording import Row, arguments, write

ROOT = Path(__file__).parents[2]
INSTALL_SECONDS, IMPORT_MS = 30.0, 10.0
IMPORTS = 15
# The package and its extension; then what the first model needs: every cell and operation.
IMPORT = """
import time, torch
begin = time.perf_counter()
import statewise, statewise.core.native
statewise.core.native.extension()
loaded = time.perf_counter()
import statewise.cells.table
print(1e3 * (loaded - begin), 1e3 * (time.perf_counter() - loaded))
"""
PROTOCOL = """
A fresh virtual environment without torch; `pip install --no-deps .` from this source with an empty build
folder, twice, the slower one counts (pip fetches the build tools too; their time is in it). Import: {imports}
fresh processes, torch imported first, then the package and its extension, then every cell; medians."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    runs = [install() for _ in range(1 if options.quick else 2)]
    imports = [imported() for _ in range(3 if options.quick else IMPORTS)]
    seconds, milliseconds = max(run["seconds"] for run in runs), median(first for first, _ in imports)
    cells = median(after for _, after in imports)
    rows = [
        Row(
            "install",
            "`pip install .` from source, kernels compiled, no torch at build",
            f"<= {INSTALL_SECONDS:.0f} s",
            f"{seconds:.1f} s, extension built for {runs[0]['target']}",
            seconds <= INSTALL_SECONDS and all(run["target"] != "none" for run in runs),
            {"runs": runs},
        ),
        Row(
            "install_import",
            "Importing the package with its kernels, over importing torch",
            f"<= {IMPORT_MS:.0f} ms",
            f"{milliseconds:.1f} ms; every cell and operation, with the first model: {cells:.0f} ms more",
            milliseconds <= IMPORT_MS,
            {"milliseconds": imports},
        ),
    ]
    write("speed.install", rows, PROTOCOL.format(imports=len(imports)), {}, options.quick)


def install() -> dict[str, Any]:
    """Seconds of one installation, and the instruction set that its extension reports."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        begin = perf_counter()
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                str(ROOT),
            ],
            check=True,
        )
        seconds = perf_counter() - begin
        ask = "from statewise.core.native import extension as e; print(e().target() if e() else 'none')"
        found = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True, cwd=folder)
        return {"seconds": seconds, "target": found.stdout.strip()}


def imported() -> tuple[float, float]:
    """Milliseconds of the package's import in a fresh process, and of all cells after it."""
    found = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    package, cells = map(float, found.stdout.split())
    return package, cells


if __name__ == "__main__":
    main()
