"""A saved model as values, and its way to a file and back."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from statewise import __version__
from statewise.bundle.archive import (
    CARD,
    MANIFEST,
    SAMPLES,
    STATE,
    STEP,
    WEIGHTS,
    json_of,
    json_text,
    one_line,
    replace_file,
    text_of,
    unzip_members,
    zip_members,
)
from statewise.bundle.arrays import DTYPES, array_bytes, arrays_of, hash_arrays
from statewise.core.errors import BundleError

FORMAT = "statewise-bundle"
VERSION = 1
# A protobuf text "location" with its length before it, in any of the forms a length may take.
_LOCATION = re.compile(rb"(?:\x08|\x88\x80{0,8}\x00)location")


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape of one batch row and dtype of a tensor of the live step."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything a saved model is: plain values and arrays.

    `config` and `codec` are JSON-plain; `inputs` are the live step's observation tensors; `state` holds the
    initial state, leaf name to [1, ...], in the live step's order; `samples` are JSON-plain rows and answers.
    """

    kind: str
    config: Mapping[str, Any]
    codec: Any
    quantiles: tuple[float, ...]
    weights: Mapping[str, np.ndarray]
    inputs: tuple[TensorSpec, ...]
    state: Mapping[str, np.ndarray]
    samples: tuple[Mapping[str, Any], ...] = ()
    card: str = ""
    step_onnx: bytes | None = field(default=None, repr=False)
    statewise: str = __version__

    @cached_property
    def model_hash(self) -> str:
        """16 hex digits that change with the weights, the config, the codec or the quantiles.

        The record of training is left out: it holds the seconds taken, and two equal runs are one model.
        """
        plain = {
            "kind": self.kind,
            "config": {key: value for key, value in self.config.items() if key != "training"},
            "codec": self.codec,
            "quantiles": list(self.quantiles),
        }
        digest = hashlib.sha256(json_text(plain, "bundle", sort_keys=True).encode())
        hash_arrays(digest, self.weights)
        return digest.hexdigest()[:16]

    @property
    def state_specs(self) -> tuple[TensorSpec, ...]:
        """Name, shape per batch row and dtype of every state leaf, in order."""
        return tuple(TensorSpec(name, leaf.shape[1:], leaf.dtype.name) for name, leaf in self.state.items())


def write_bundle(path: str | os.PathLike[str], bundle: Bundle) -> None:
    """Write `bundle` to `path`: complete or not at all, and only what `read_bundle` reads back.

    Raises BundleError when a value is not JSON-plain, a dtype is not storable or a limit is exceeded.
    """
    target = Path(path)
    data = _pack(bundle, target.name)
    parse_bundle(data, target.name)
    replace_file(target, data)


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """The bundle stored at `path`. Raises BundleError with one line for anything else."""
    source = Path(path)
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{source}: no such file.") from None
    except IsADirectoryError:
        raise BundleError(f"{source}: a folder, want one bundle file (load.sw).") from None
    except (OSError, ValueError, MemoryError) as error:
        raise BundleError(f"{source}: cannot be read: {one_line(error)}.") from None
    return parse_bundle(data, source.name)


def parse_bundle(data: bytes, name: str) -> Bundle:
    """The bundle held in `data`; `name` starts every error line."""
    members = unzip_members(data, name)
    manifest = _manifest(members[MANIFEST], name)
    _check_hashes(manifest, members, name)
    state = arrays_of(members[STATE], name, STATE)
    return Bundle(
        kind=manifest["kind"],
        config=manifest["config"],
        codec=manifest["codec"],
        quantiles=tuple(float(level) for level in manifest["quantiles"]),
        weights=arrays_of(members[WEIGHTS], name, WEIGHTS),
        inputs=_specs(manifest["inputs"], name),
        state=_ordered_state(_specs(manifest["state"], name), state, name),
        samples=_samples(members[SAMPLES], name),
        card=text_of(members[CARD], name, CARD),
        step_onnx=_graph(members.get(STEP), name),
        statewise=manifest["statewise"],
    )


def _pack(bundle: Bundle, name: str) -> bytes:
    lines = [json_text(sample, f"{name}: {SAMPLES}") for sample in bundle.samples]
    members = {
        WEIGHTS: array_bytes(bundle.weights, name, WEIGHTS),
        STATE: array_bytes(bundle.state, name, STATE),
        CARD: bundle.card.encode(),
        SAMPLES: "".join(f"{line}\n" for line in lines).encode(),
    }
    if bundle.step_onnx is not None:
        members[STEP] = bundle.step_onnx
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "kind": bundle.kind,
        "statewise": bundle.statewise,
        "config": bundle.config,
        "codec": bundle.codec,
        "quantiles": list(bundle.quantiles),
        "inputs": [_spec_json(spec) for spec in bundle.inputs],
        "state": [_spec_json(spec) for spec in bundle.state_specs],
        "sha256": {member: hashlib.sha256(data).hexdigest() for member, data in members.items()},
    }
    text = json_text(manifest, f"{name}: {MANIFEST}", indent=1)
    return zip_members({MANIFEST: text.encode(), **members})


def _spec_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype}


_FIELDS: dict[str, type] = {
    "kind": str,
    "statewise": str,
    "config": dict,
    "codec": object,
    "quantiles": list,
    "inputs": list,
    "state": list,
    "sha256": dict,
}


def _manifest(data: bytes, name: str) -> dict[str, Any]:
    manifest = json_of(text_of(data, name, MANIFEST), name, MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{name}: not a Statewise bundle ({MANIFEST} does not say format '{FORMAT}').")
    version = manifest.get("version")
    if type(version) is not int or version < 1:
        raise BundleError(f"{name}: {MANIFEST}: version is {str(version)[:40]!r}, want a number from 1.")
    if version > VERSION:
        raise BundleError(
            f"{name}: bundle format {version}, this Statewise ({__version__}) reads up to {VERSION}. "
            "Upgrade: pip install --upgrade statewise"
        )
    for key, kind in _FIELDS.items():
        if key not in manifest or not isinstance(manifest[key], kind):
            raise BundleError(f"{name}: {MANIFEST}: '{key}' is missing or not a {kind.__name__}.")
    if not all(isinstance(level, float) and 0 < level < 1 for level in manifest["quantiles"]):
        raise BundleError(f"{name}: {MANIFEST}: quantiles must be numbers between 0 and 1.")
    return manifest


def _check_hashes(manifest: Mapping[str, Any], members: Mapping[str, bytes], name: str) -> None:
    listed, found = set(manifest["sha256"]), set(members) - {MANIFEST}
    if listed != found:
        odd = ", ".join(sorted(str(member)[:80] for member in listed ^ found))
        raise BundleError(
            f"{name}: damaged: {MANIFEST} and the file disagree about {odd}. Get the file again."
        )
    for member in sorted(found):
        if manifest["sha256"][member] != hashlib.sha256(members[member]).hexdigest():
            raise BundleError(f"{name}: damaged: {member} does not match its checksum. Get the file again.")


def _specs(entries: Sequence[Any], name: str) -> tuple[TensorSpec, ...]:
    specs = []
    for entry in entries:
        match entry:
            case {"name": str(key), "shape": list(shape), "dtype": str(dtype)} if (
                key and dtype in DTYPES and all(type(size) is int and size >= 0 for size in shape)
            ):
                specs.append(TensorSpec(key, tuple(shape), dtype))
            case _:
                raise BundleError(f"{name}: {MANIFEST}: bad tensor entry {str(entry)[:80]!r}.")
    if len({spec.name for spec in specs}) != len(specs):
        raise BundleError(f"{name}: {MANIFEST}: two tensors of the live step have the same name.")
    return tuple(specs)


def _ordered_state(
    specs: Sequence[TensorSpec], arrays: Mapping[str, np.ndarray], name: str
) -> dict[str, np.ndarray]:
    got = {TensorSpec(key, array.shape[1:], array.dtype.name) for key, array in arrays.items()}
    if got != set(specs) or any(array.shape[:1] != (1,) for array in arrays.values()):
        raise BundleError(f"{name}: damaged: {STATE} does not hold the state leaves that {MANIFEST} lists.")
    return {spec.name: arrays[spec.name] for spec in specs}


def _samples(data: bytes, name: str) -> tuple[Mapping[str, Any], ...]:
    lines = text_of(data, name, SAMPLES).split("\n")
    samples = [json_of(line, name, SAMPLES) for line in lines if line]
    if not all(isinstance(sample, dict) for sample in samples):
        raise BundleError(f"{name}: {SAMPLES}: every line must be a JSON object.")
    return tuple(samples)


def _graph(data: bytes | None, name: str) -> bytes | None:
    """A graph that points at other files (ONNX: a tensor entry with the key "location") is refused."""
    if data is not None and _LOCATION.search(data):
        raise BundleError(f"{name}: {STEP} refers to other files. Nothing of the file was used.")
    return data
