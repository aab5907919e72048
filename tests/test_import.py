"""`import statewise` is fast and loads nothing heavy; the live wing runs where torch cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import statewise

HEAVY = (
    "torch",
    "polars",
    "narwhals",
    "pandas",
    "pyarrow",
    "matplotlib",
    "tqdm",
    "onnx",
    "onnxruntime",
    "numpy",
)
SOURCE = Path(statewise.__file__).parent
LIVE_WING = ("core", "rows", "bundle", "streaming", "server")


def run(code: str) -> str:
    """What a fresh interpreter prints for `code`."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(statement: str, names: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of `names` a fresh interpreter has loaded after `statement`."""
    return run(f"import sys; {statement}; print(*[name for name in {names} if name in sys.modules])").split()


def modules(part: str) -> list[str]:
    """Dotted names of the modules of one part of the live wing."""
    paths = sorted((SOURCE / part).rglob("*.py")) or [
        path for path in [SOURCE / f"{part}.py"] if path.is_file()
    ]
    parts = (path.relative_to(SOURCE.parent).with_suffix("").parts for path in paths)
    return [".".join(name).removesuffix(".__init__") for name in parts]


def test_import_is_fast() -> None:
    code = "import time; start = time.perf_counter(); import statewise; print(time.perf_counter() - start)"
    assert median(float(run(code)) for _ in range(5)) < 0.2


def test_import_loads_nothing_heavy() -> None:
    assert loaded("import statewise; dir(statewise)") == []


def test_data_sets_do_not_load_torch() -> None:
    statement = "import statewise; statewise.datasets.load('nyc_flights'); statewise.datasets.table()"
    assert loaded(statement, ("torch", "pandas", "matplotlib")) == []


def test_errors_load_nothing_heavy() -> None:
    assert loaded("import statewise; statewise.errors.DataError") == []


@pytest.mark.parametrize("name", [name for name in statewise.__all__ if name != "__version__"])
def test_every_public_name_resolves_and_is_listed(name: str) -> None:
    assert getattr(statewise, name) is not None
    assert name in dir(statewise)


def test_the_listed_names_and_the_lazy_names_are_the_same() -> None:
    assert set(statewise.__all__) == {*statewise._NAMES, "__version__"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'statewise' has no attribute 'forecast_it'$"):
        _ = statewise.forecast_it  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", LIVE_WING)
def test_the_live_wing_imports_without_torch(part: str) -> None:
    names = modules(part)
    if not names:
        pytest.skip(f"{part} is not built yet")
    imports = "; ".join(f"import {name}" for name in names)
    assert run(f"import sys; sys.modules['torch'] = None; {imports}; print('ok')") == "ok"


@pytest.mark.parametrize("part", LIVE_WING)
def test_the_live_wing_loads_no_frame_library_until_a_frame_comes(part: str) -> None:
    names = modules(part)
    if not names:
        pytest.skip(f"{part} is not built yet")
    imports = "; ".join(f"import {name}" for name in names)
    assert (
        loaded(imports, ("torch", "polars", "narwhals", "pandas", "matplotlib", "tqdm", "onnxruntime")) == []
    )
