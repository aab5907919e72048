"""A folder of attacks on the bundle: each gets one clear line, and nothing of the file is used."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from example_bundle import EXAMPLE, as_bytes
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as tensor_file

from statewise import __version__
from statewise.bundle import parse_bundle
from statewise.core.errors import BundleError


def refused(data: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        parse_bundle(data, "load.sw")
    text = str(caught.value)
    assert text.startswith("load.sw: ")
    assert "\n" not in text
    return text


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
