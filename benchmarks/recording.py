"""What a benchmark writes: one object per row of the README table, with all that is needed to repeat it."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

FOLDER = Path(__file__).parent
CACHE = FOLDER / ".cache"
PACKAGES = (
    "torch",
    "numpy",
    "polars",
    "narwhals",
    "statsforecast",
    "onnxruntime",
    "tokenizers",
    "sacrebleu",
    "scikit-learn",
)
_DIGITS = 5  # significant ones kept in the JSON: figures are no more exact than that

Found = TypeVar("Found")


@dataclass(frozen=True)
class Row:
    """One row of the table of results; `figures` holds every number behind `measured`."""

    name: str
    what: str
    bar: str
    measured: str
    met: bool
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timed:
    """What a call gave, the processor time it took on all threads, and the time on the wall (seconds)."""

    found: Any
    cpu: float
    wall: float


def timed(call: Callable[[], Any]) -> Timed:
    """`call()` and how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return Timed(found, time.process_time() - cpu, time.perf_counter() - wall)


def write(
    module: str, rows: Sequence[Row], protocol: str, config: Mapping[str, Any], quick: bool, **more: Any
) -> Path:
    """Write `rows` to results/<name>.json (with `quick` to .cache/quick, so that no result is replaced).

    `module` is "quality.<name>" or "speed.<name>"; `more` is stored beside the protocol (seeds, verdict).
    """
    shared = {
        "command": f"python -m benchmarks.{module}",
        "machine": machine(),
        "environment": environment(),
        "quick": quick,
        "protocol": " ".join(protocol.split()),
        **more,
        "config": dict(config),
    }
    folder = CACHE / "quick" if quick else FOLDER / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module.rpartition('.')[2]}.json"
    held = [plain({**asdict(row), **shared}) for row in rows]
    path.write_text(json.dumps(held, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row.what}: {row.measured} (bar: {row.bar}) {'met' if row.met else 'NOT MET'}")
    print(f"written: {os.path.relpath(path)}")
    return path


def machine() -> str:
    """Processor and cores in a few words."""
    return f"{processor()}, {os.cpu_count()} cores"


def environment() -> dict[str, Any]:
    """Processor, threads and versions."""
    import torch

    import statewise

    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "system": platform.system(),
        "python": platform.python_version(),
        "statewise": statewise.__version__,
        **{name: found for name in PACKAGES if (found := installed(name))},
    }


def processor() -> str:
    """The model name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def plain(value: Any) -> Any:
    """JSON-plain values with rounded numbers; None for NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    number = float(value)
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None


def middle(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of every figure over runs (seeds)."""
    return {key: median(run[key] for run in runs) for key in runs[0]}


def arguments(text: str | None) -> argparse.ArgumentParser:
    """A parser with the option that all benchmarks have."""
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short run that only shows that all works")
    return parser


def need(package: str, command: str) -> None:
    """Stop unless a peer that is compared with is installed."""
    if installed(package) is None:
        wanted = "python -m pip install --no-deps -r benchmarks/peers.txt"
        raise SystemExit(f"{command}: the peer '{package}' is not installed: {wanted}")


def installed(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
