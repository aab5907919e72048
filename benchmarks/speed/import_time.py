"""`import statewise`: how long it takes, what it loads, and what the first `sw.fit` pays for it.

python -m benchmarks.speed.import_time
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.recording import Row, arguments, write

REPEATS, FITS = 15, 7
IMPORT_SECONDS, FIT_SECONDS = 0.2, 1.5
# Frame, tensor, plotting, audio and server libraries that a bare import must not load.
HEAVY = (
    "torch", "polars", "narwhals", "pandas", "pyarrow", "matplotlib", "tqdm", "scipy", "onnx", "onnxruntime",
    "onnxscript", "statsforecast", "soundfile", "torchaudio", "fastapi", "starlette", "uvicorn",
)  # fmt: skip

IMPORT = f"""
import json, sys, time
begin = time.perf_counter()
import statewise
seconds = time.perf_counter() - begin
print(json.dumps({{"seconds": seconds, "heavy": [name for name in {HEAVY!r} if name in sys.modules]}}))
"""
# The first import of polars is timed too: a user who has a frame has paid for that already.
FIT = """
import json, time
from datetime import datetime, timedelta
import statewise as sw
{preload}
ds = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(400)]
begin, cpu = time.perf_counter(), time.process_time()
import polars
rows = polars.DataFrame({{"ds": ds, "y": [float(i * i % 7) for i in range(400)]}})
task = sw.Forecast(horizon=4, id=None, lags=24)
model = sw.fit(task, rows, hidden_size=8, train=sw.TrainConfig(steps=2), progress=False)
print(json.dumps({{"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}}))
"""
PRELOAD = "import torch, polars, narwhals, tqdm\nsw.fit, sw.Forecast, sw.TrainConfig"

PROTOCOL = """
Median wall time over {repeats} fresh processes of `import statewise` alone (the start of the interpreter is
not counted; files are in the disk cache), and which heavy libraries are in sys.modules then. First fit:
frame, task and a two-step sw.fit of 400 rows in a fresh process, once right after `import statewise` and
once with torch, polars, narwhals, tqdm and the names of statewise imported before; {fits} processes of each
in turns, difference of medians."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    repeats, fits = (3, 1) if options.quick else (REPEATS, FITS)
    run(IMPORT)  # fills the disk cache and writes bytecode
    imports = [run(IMPORT) for _ in range(repeats)]
    seconds = [found["seconds"] for found in imports]
    heavy = imports[0]["heavy"]
    lazy, loaded = [], []
    for _ in range(fits):
        lazy.append(run(FIT.format(preload="")))
        loaded.append(run(FIT.format(preload=PRELOAD)))
    extra = {
        key: median(each[key] for each in lazy) - median(each[key] for each in loaded) for key in lazy[0]
    }
    rows = [
        Row(
            "import_time",
            "`import statewise`",
            f"< {IMPORT_SECONDS} s, and loads no torch, frame, plotting or server library",
            f"{median(seconds):.3f} s, loads {', '.join(heavy) or 'none of them'}",
            median(seconds) < IMPORT_SECONDS and not heavy,
            {"seconds": seconds, "heavy": heavy, "looked_for": HEAVY},
        ),
        Row(
            "import_time_first_fit",
            "First `sw.fit` after a bare import, against everything imported before",
            f"≤ {FIT_SECONDS} s more",
            f"{extra['seconds']:+.2f} s",
            extra["seconds"] <= FIT_SECONDS,
            {"extra": extra, "lazy": lazy, "preloaded": loaded},
        ),
    ]
    protocol = PROTOCOL.format(repeats=repeats, fits=fits)
    write("speed.import_time", rows, protocol, {}, options.quick)


def run(code: str) -> dict[str, Any]:
    """The JSON line that `code` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
