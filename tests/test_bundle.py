"""The bundle: what is written is read back, and a folder of attacks gets one clear line each."""

from __future__ import annotations

import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as tensor_file

import statewise
from statewise import __version__
from statewise.bundle import DTYPES, Bundle, TensorSpec, parse_bundle, read_bundle, write_bundle
from statewise.core.errors import BundleError

GENERATOR = np.random.default_rng(0)
EXAMPLE = Bundle(
    kind="forecast",
    config={"cell": "gru", "hidden_size": 3, "nested": {"levels": [0.1, 1e-300]}},
    codec={"mean": [31.2], "target": ["y"]},
    quantiles=(0.1, 0.5, 0.9),
    weights={
        "b.weight": GENERATOR.normal(size=(4, 3)).astype(np.float32),
        "a.bias": np.array([np.nan, np.inf, -0.0]),
    },
    inputs=(TensorSpec("now", (5,)), TensorSpec("future", (24, 0))),
    state={"1.hidden": np.zeros((1, 3), np.float32), "0.keep": np.zeros((1, 0), bool), "2": np.array([7])},
    samples=({"row": {"ds": "2024-01-01", "y": None}, "answer": [[0.1, 2.5]]}, {"row": {"ds": "ü"}}),
    card="# Load\n\nHow much tomorrow.\n",
    step_onnx=b"\x08\x0a graph",
)


def as_bytes(tmp_path: Path, bundle: Bundle = EXAMPLE) -> bytes:
    write_bundle(tmp_path / "load.sw", bundle)
    return (tmp_path / "load.sw").read_bytes()


def refused(data: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        parse_bundle(data, "load.sw")
    text = str(caught.value)
    assert text.startswith("load.sw: ")
    assert "\n" not in text
    return text


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


# The folder of attacks: each takes the good members and gives the bytes of a bad file.
Members = dict[str, bytes]


def members(data: bytes) -> Members:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def manifest_with(parts: Members, **change: object) -> bytes:
    manifest = json.loads(parts["manifest.json"])
    manifest.update(change)
    return zipped({**parts, "manifest.json": json.dumps(manifest).encode()})


def rehashed(parts: Members, **change: bytes) -> bytes:
    """A file whose author also mended the checksums: damage that a hash does not show."""
    import hashlib

    parts = {**parts, **{name.replace("__", "."): data for name, data in change.items()}}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items() if name != "manifest.json"}
    return manifest_with(parts, sha256=sums)


def duplicated(parts: Members) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("card.md", b"other")
    return buffer.getvalue()


def claiming(parts: Members, size: int) -> bytes:
    """The weights' entry in the directory claims `size` bytes."""
    data = bytearray(zipped(parts))
    entry = data.rindex(b"weights.safetensors") - 46
    data[entry + 20 : entry + 28] = struct.pack("<II", size, size)
    return bytes(data)


def encrypted(parts: Members) -> bytes:
    data = bytearray(zipped(parts))
    entry = data.rindex(b"card.md") - 46
    data[entry + 8] |= 1
    return bytes(data)


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (os.system, ("touch /tmp/statewise-was-here",))


NEWER = (
    f"bundle format 2, this Statewise ({__version__}) reads up to 1. Upgrade: pip install --upgrade statewise"
)
HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999]}}'
ATTACKS: dict[str, tuple[Callable[[Members], bytes], str]] = {
    "empty": (lambda m: b"", "not a Statewise bundle (not a zip file)."),
    "text": (lambda m: b"hello" * 100, "not a Statewise bundle (not a zip file)."),
    "pickle": (lambda m: pickle.dumps(Bomb()), "not a Statewise bundle (not a zip file)."),
    "truncated": (
        lambda m: zipped(m)[:-200],
        "damaged or truncated (File is not a zip file). Get the file again.",
    ),
    "torch checkpoint": (
        lambda m: zipped({"archive/data.pkl": pickle.dumps(Bomb())}),
        "not a Statewise bundle (a zip file without manifest.json).",
    ),
    "pickle inside": (
        lambda m: zipped({**m, "weights.pkl": pickle.dumps(Bomb())}),
        "foreign member 'weights.pkl'. Nothing of the file was used.",
    ),
    "path traversal": (
        lambda m: zipped({**m, "../../evil": b"x"}),
        "foreign member '../../evil'. Nothing of the file was used.",
    ),
    "absolute path": (
        lambda m: zipped({**m, "/etc/evil": b"x"}),
        "foreign member '/etc/evil'. Nothing of the file was used.",
    ),
    "zip bomb": (
        lambda m: zipped({**m, "card.md": b"\0" * 4_000_000}, zipfile.ZIP_DEFLATED),
        "manifest.json is compressed or encrypted, want it stored.",
    ),
    "encrypted": (encrypted, "card.md is compressed or encrypted, want it stored."),
    "oversized card": (
        lambda m: zipped({**m, "card.md": b" " * (4 * 2**20 + 1)}),
        "card.md has 4194305 bytes, at most 4 MiB is read.",
    ),
    "claims 3 GB": (
        lambda m: claiming(m, 3_000_000_000),
        "damaged: its members claim more bytes than the file has.",
    ),
    "duplicate member": (duplicated, "a member stands in it twice. Nothing of the file was used."),
    "member missing": (
        lambda m: zipped({name: data for name, data in m.items() if name != "weights.safetensors"}),
        "damaged: weights.safetensors is missing. Get the file again.",
    ),
    "graph missing": (
        lambda m: zipped({name: data for name, data in m.items() if name != "step.onnx"}),
        "damaged: manifest.json and the file disagree about step.onnx. Get the file again.",
    ),
    "hash mismatch": (
        lambda m: zipped({**m, "weights.safetensors": m["weights.safetensors"][:-1] + b"\x01"}),
        "damaged: weights.safetensors does not match its checksum. Get the file again.",
    ),
    "newer": (
        lambda m: manifest_with(m, version=2),
        NEWER,
    ),
    "version text": (
        lambda m: manifest_with(m, version="1"),
        "manifest.json: version is '1', want a number from 1.",
    ),
    "version true": (
        lambda m: manifest_with(m, version=True),
        "manifest.json: version is 'True', want a number from 1.",
    ),
    "other format": (
        lambda m: manifest_with(m, format="other"),
        "not a Statewise bundle (manifest.json does not say format 'statewise-bundle').",
    ),
    "manifest list": (
        lambda m: zipped({**m, "manifest.json": b"[1]"}),
        "not a Statewise bundle (manifest.json does not say format 'statewise-bundle').",
    ),
    "manifest deep": (
        lambda m: zipped({**m, "manifest.json": b"[" * 200_000}),
        "damaged: manifest.json is not JSON: ",
    ),
    "manifest NaN": (
        lambda m: zipped({**m, "manifest.json": b'{"a": NaN}'}),
        "damaged: manifest.json is not JSON: NaN is not a JSON number.",
    ),
    "manifest twice": (
        lambda m: zipped({**m, "manifest.json": b'{"a": 1, "a": 2}'}),
        "damaged: manifest.json is not JSON: a key stands twice in one object.",
    ),
    "manifest bytes": (
        lambda m: zipped({**m, "manifest.json": b"\xff\xfe"}),
        "damaged: manifest.json is not UTF-8 text.",
    ),
    "no kind": (lambda m: manifest_with(m, kind=3), "manifest.json: 'kind' is missing or not a str."),
    "quantiles": (
        lambda m: manifest_with(m, quantiles=[2]),
        "manifest.json: quantiles must be numbers between 0 and 1.",
    ),
    "spec negative": (
        lambda m: manifest_with(m, inputs=[{"name": "now", "shape": [-1], "dtype": "float32"}]),
        "manifest.json: bad tensor entry ",
    ),
    "spec object dtype": (
        lambda m: manifest_with(m, inputs=[{"name": "now", "shape": [1], "dtype": "object"}]),
        "manifest.json: bad tensor entry ",
    ),
    "spec twice": (
        lambda m: manifest_with(m, inputs=[{"name": "now", "shape": [1], "dtype": "float32"}] * 2),
        "manifest.json: two tensors of the live step have the same name.",
    ),
    "state differs": (
        lambda m: rehashed(m, state__safetensors=tensor_file.save({"h": np.zeros((1, 2))})),
        "damaged: state.safetensors does not hold the state leaves that manifest.json lists.",
    ),
    "weights no tensors": (
        lambda m: rehashed(m, weights__safetensors=b"abc"),
        "damaged: weights.safetensors: ",
    ),
    "weights header huge": (
        lambda m: rehashed(m, weights__safetensors=struct.pack("<Q", 2**62) + b"{}"),
        "damaged: weights.safetensors: ",
    ),
    "weights offsets": (
        lambda m: rehashed(m, weights__safetensors=struct.pack("<Q", len(HEADER)) + HEADER + b"\0" * 8),
        "damaged: weights.safetensors: ",
    ),
    "weights pickle": (
        lambda m: rehashed(m, weights__safetensors=pickle.dumps(Bomb())),
        "damaged: weights.safetensors: ",
    ),
    "samples": (lambda m: rehashed(m, samples__jsonl=b"{oops\n"), "damaged: samples.jsonl is not JSON: "),
    "samples list": (
        lambda m: rehashed(m, samples__jsonl=b"[1]\n"),
        "samples.jsonl: every line must be a JSON object.",
    ),
    "graph reads files, odd length": (
        lambda m: rehashed(m, step__onnx=b"\x0a\x88\x80\x00location\x12\x0b/etc/passwd"),
        "step.onnx refers to other files. Nothing of the file was used.",
    ),
    "graph reads files": (
        lambda m: rehashed(m, step__onnx=b"\x0a\x08location\x12\x0b/etc/passwd"),
        "step.onnx refers to other files. Nothing of the file was used.",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(tmp_path: Path, attack: str) -> None:
    make, want = ATTACKS[attack]
    got = refused(make(members(as_bytes(tmp_path)))).removeprefix("load.sw: ")
    assert got.startswith(want) if want.endswith(" ") else got == want
    assert len(got) < 300
    assert not Path("/tmp/statewise-was-here").exists()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = as_bytes(tmp_path)
    for end in range(0, len(data), 37):
        refused(data[:end])


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = as_bytes(tmp_path_factory.getbasetemp())
    position = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[position] ^= data.draw(st.integers(1, 255))
    with suppress(BundleError):
        back = parse_bundle(bytes(changed), "load.sw")
        assert back.model_hash == EXAMPLE.model_hash
        assert back.samples == EXAMPLE.samples


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
