"""Sessions as bytes: one safetensors file, every tensor with the sessions on axis 0; one session is N = 1.

Metadata (JSON): format, model hash, sha256 of the content, the sessions' names ("series"), and "items" where
a session keeps the last item it took. Tensors: "leaf.<name>" [N, ...] for the engine's state; "session.steps"
[N] and the other counts of the kind of stream; its arrays "session.<name>" [N, ...]; "session.values"
[N, ...], the last output.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensor_file

from statewise.bundle import hash_arrays
from statewise.core.errors import StreamError

FORMAT = "statewise-stream"
VERSION = 1
DAMAGED = "snapshot: damaged, truncated or not a Statewise snapshot."
_KEY = "statewise"
_VALUES = "session.values"


class Session(NamedTuple):
    """Everything one session is: plain values and the arrays of its state."""

    name: str
    counts: Mapping[str, int]  # "steps" among them: a session that has taken none has no values
    arrays: Mapping[str, np.ndarray]  # further ones of the kind of stream
    values: np.ndarray | None  # the last output
    leaves: Mapping[str, np.ndarray]  # of the engine's state, [1, ...] each
    item: Any = None  # the last item, JSON-plain


def pack(sessions: Sequence[Session], model_hash: str) -> bytes:
    """Sessions of one model as bytes; the same sessions give the same bytes.

    Raises StreamError when the state grows and the sessions' states have different sizes.
    """
    arrays = _stack(sessions)
    names = [session.name for session in sessions]
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "model": model_hash, "series": names}
    if any(session.item is not None for session in sessions):
        head["items"] = [session.item for session in sessions]
    head["sha256"] = _digest(head, arrays)
    return tensor_file.save(arrays, metadata={_KEY: json.dumps(head)})


def unpack(data: bytes, model_hash: str) -> list[Session]:
    """The inverse of `pack`, bit for bit. Raises StreamError for damage, another model or a newer format."""
    head, arrays = _read(data)
    if head["model"] != model_hash:
        raise StreamError(
            f"snapshot: of model {str(head['model'])[:16]}, this is model {model_hash}. "
            "Restore it with the bundle that made it, or start a new session."
        )
    try:
        items = head.get("items", [None] * len(head["series"]))
        pairs = zip(head["series"], items, strict=True)
        return [_session(arrays, row, str(name), item) for row, (name, item) in enumerate(pairs)]
    except (KeyError, IndexError, TypeError, ValueError):
        raise StreamError(DAMAGED) from None


def _stack(sessions: Sequence[Session]) -> dict[str, np.ndarray]:
    if not sessions:
        return {"session.steps": np.zeros(0, dtype=np.int64)}
    first, arrays = sessions[0], {}
    for name in first.counts:
        arrays[f"session.{name}"] = np.array([s.counts[name] for s in sessions], dtype=np.int64)
    for name in first.arrays:
        arrays[f"session.{name}"] = np.stack([s.arrays[name] for s in sessions])
    for name in first.leaves:
        arrays[f"leaf.{name}"] = _joined(name, [s.leaves[name] for s in sessions])
    given = [s.values for s in sessions if s.values is not None]
    if given:
        nothing = np.full_like(given[0], np.nan)
        arrays[_VALUES] = np.stack([nothing if s.values is None else s.values for s in sessions])
    return arrays


def _joined(name: str, leaves: Sequence[np.ndarray]) -> np.ndarray:
    sizes = {leaf.shape[1:] for leaf in leaves}
    if len(sizes) > 1:
        got = " and ".join(str(list(size)) for size in sorted(sizes)[:2])
        raise StreamError(
            f"snapshot: the state grows, and its leaf '{name}' has sizes {got}: no common file. "
            "Take the snapshot of each stream by itself."
        )
    return np.concatenate(leaves)


def _session(arrays: Mapping[str, np.ndarray], row: int, name: str, item: Any) -> Session:
    counts, kept, leaves = {}, {}, {}
    for key, array in arrays.items():
        place, _, part = key.partition(".")
        if place == "leaf":
            leaves[part] = array[row : row + 1].copy()
        elif array.ndim == 1 and array.dtype == np.int64:
            counts[part] = int(array[row])
        elif key != _VALUES:
            kept[part] = array[row].copy()
    values = arrays[_VALUES][row].copy() if counts["steps"] else None
    return Session(name, counts, kept, values, leaves, item)


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        arrays = tensor_file.load(data)
        head = _head(data)
        known = head["format"] == FORMAT and {"version", "model", "series", "sha256"} <= set(head)
    except (SafetensorError, KeyError, TypeError, ValueError, struct.error, MemoryError, RecursionError):
        raise StreamError(DAMAGED) from None
    if not known:
        raise StreamError(DAMAGED)
    if head["version"] != VERSION:
        raise StreamError(
            f"snapshot: format {str(head['version'])[:10]}, this Statewise reads {VERSION}. "
            "Upgrade: pip install --upgrade statewise"
        )
    if head["sha256"] != _digest(head, arrays):
        raise StreamError("snapshot: damaged: the content does not match its checksum.")
    return head, arrays


def _head(data: bytes) -> dict[str, Any]:
    """The snapshot's own JSON within the file's; one entry, as the order of several is not kept."""
    (size,) = struct.unpack("<Q", data[:8])
    return dict(json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_KEY]))


def _digest(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    plain = {key: value for key, value in head.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    hash_arrays(digest, arrays)
    return digest.hexdigest()
