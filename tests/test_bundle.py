"""The bundle: what is written is read back, complete, by a reader without torch."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_bundle import EXAMPLE, as_bytes

import statewise
from statewise.bundle import DTYPES, parse_bundle, read_bundle, write_bundle
from statewise.core.errors import BundleError


def test_round_trip(tmp_path: Path) -> None:
    as_bytes(tmp_path)
    back = read_bundle(tmp_path / "load.sw")
    for name in (
        "kind",
        "config",
        "codec",
        "quantiles",
        "inputs",
        "samples",
        "card",
        "step_onnx",
        "statewise",
    ):
        assert getattr(back, name) == getattr(EXAMPLE, name)
    assert list(back.state) == ["1.hidden", "0.keep", "2"]
    for name in ("weights", "state"):
        for key, array in getattr(EXAMPLE, name).items():
            got = getattr(back, name)[key]
            assert got.dtype == array.dtype
            assert got.shape == array.shape
            assert got.tobytes() == array.tobytes()
    assert back.model_hash == EXAMPLE.model_hash
    assert back.state_specs == EXAMPLE.state_specs


def test_without_graph_and_samples(tmp_path: Path) -> None:
    back = parse_bundle(as_bytes(tmp_path, replace(EXAMPLE, step_onnx=None, samples=(), card="")), "load.sw")
    assert back.step_onnx is None
    assert back.samples == ()


def test_the_same_bundle_gives_the_same_bytes_and_usual_permissions(tmp_path: Path) -> None:
    assert as_bytes(tmp_path) == as_bytes(tmp_path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "load.sw").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {**EXAMPLE.weights, "a.bias": np.array([1.0, np.inf, -0.0])}},
        {"weights": {"b": EXAMPLE.weights["b.weight"], "a.bias": EXAMPLE.weights["a.bias"]}},
        {"config": {**EXAMPLE.config, "cell": "lstm"}},
        {"codec": {"mean": [31.3], "target": ["y"]}},
        {"quantiles": (0.1, 0.5, 0.8)},
    ],
)
def test_model_hash_changes_with_the_model(change: dict[str, object]) -> None:
    assert replace(EXAMPLE, **change).model_hash != EXAMPLE.model_hash


def test_model_hash_is_of_the_model_alone() -> None:
    assert replace(EXAMPLE, card="other", samples=(), statewise="9").model_hash == EXAMPLE.model_hash
    trained = replace(EXAMPLE, config={**EXAMPLE.config, "training": {"elapsed": 1.5}})
    assert trained.model_hash == EXAMPLE.model_hash


def test_a_failed_write_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = as_bytes(tmp_path)

    def broken(source: object, target: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk"):
        write_bundle(tmp_path / "load.sw", replace(EXAMPLE, card="new"))
    assert [path.name for path in tmp_path.iterdir()] == ["load.sw"]
    assert (tmp_path / "load.sw").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"config": {"rate": float("nan")}},
            "load.sw: manifest.json: not plain JSON values: Out of range float values are not JSON compliant",
        ),
        (
            {"config": {"rate": 1, "path": Path("x")}},
            "load.sw: manifest.json: not plain JSON values: Object of type PosixPath is not JSON",
        ),
        (
            {"weights": {"w": np.array(["a"])}},
            f"load.sw: weights.safetensors: 'w' is str32, want one of {', '.join(DTYPES)}.",
        ),
        (
            {"state": {"h": np.zeros((2, 3))}},
            "load.sw: damaged: state.safetensors does not hold the state leaves that manifest.json lists.",
        ),
        ({"quantiles": (0.1, 1.0)}, "load.sw: manifest.json: quantiles must be numbers between 0 and 1."),
        (
            {"step_onnx": b"..\x08location.."},
            "load.sw: step.onnx refers to other files. Nothing of the file was used.",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused_before_a_file_is_made(
    tmp_path: Path, change: dict[str, object], text: str
) -> None:
    with pytest.raises(BundleError) as caught:
        write_bundle(tmp_path / "load.sw", replace(EXAMPLE, **change))
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_may_be_named_location(tmp_path: Path) -> None:
    back = parse_bundle(as_bytes(tmp_path, replace(EXAMPLE, step_onnx=b"\x0dhead.location")), "load.sw")
    assert back.step_onnx == b"\x0dhead.location"


def test_no_such_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / "none.sw")
    assert str(caught.value) == f"{tmp_path / 'none.sw'}: no such file."
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert str(caught.value) == f"{tmp_path}: a folder, want one bundle file (load.sw)."


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    as_bytes(tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from statewise.bundle import read_bundle\n"
        f"print(read_bundle({str(tmp_path / 'load.sw')!r}).model_hash)\n"
        "assert 'polars' not in sys.modules and 'narwhals' not in sys.modules"
    )
    source = str(Path(statewise.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
        check=True,
    )
    assert done.stdout.strip() == EXAMPLE.model_hash
