"""Sessions as bytes: one safetensors file, every tensor with the sessions on axis 0; one session is N = 1.

Metadata (JSON): format, model hash, sha256 of the content, the series' names. Tensors: "leaf.<name>" [N, ...]
for the state; "session.time" (seconds), "session.steps", "session.missing", "session.gap" [N];
"session.static" [N, S]; "session.values" [N, D, H, 1 + Q].
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
_KEY = "statewise"
_DAMAGED = "snapshot: damaged, truncated or not a Statewise snapshot."
_COUNTERS = ("steps", "missing", "gap")
_NEVER = np.iinfo(np.int64).min  # the time of a session that has seen no row


class Session(NamedTuple):
    """Everything one session is: plain values and the arrays of its state."""

    series_id: str
    time: np.datetime64 | None
    steps: int
    missing: int
    gap: int
    static: np.ndarray  # [S] static channels
    values: np.ndarray | None  # the last forecast [D, H, 1 + Q] in units
    leaves: Mapping[str, np.ndarray]  # [1, ...] each


def pack(sessions: Sequence[Session], model_hash: str) -> bytes:
    """Sessions of one model as bytes; the same sessions give the same bytes.

    Raises StreamError when the state grows and the sessions' states have different sizes.
    """
    arrays = _stack(sessions)
    names = [session.series_id for session in sessions]
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "model": model_hash, "series": names}
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
        return [_session(arrays, row, str(name)) for row, name in enumerate(head["series"])]
    except (KeyError, IndexError, TypeError, ValueError):
        raise StreamError(_DAMAGED) from None


def _stack(sessions: Sequence[Session]) -> dict[str, np.ndarray]:
    times = [
        _NEVER if s.time is None else int(s.time.astype("datetime64[s]").astype(np.int64)) for s in sessions
    ]
    arrays = {"session.time": np.array(times, dtype=np.int64)}
    for name in _COUNTERS:
        arrays[f"session.{name}"] = np.array([getattr(s, name) for s in sessions], dtype=np.int64)
    if sessions:
        arrays["session.static"] = np.stack([s.static for s in sessions])
        names = sessions[0].leaves
        arrays |= {f"leaf.{name}": _joined(name, [s.leaves[name] for s in sessions]) for name in names}
    shapes = [s.values.shape for s in sessions if s.values is not None]
    if shapes:
        nothing = np.full(shapes[0], np.nan)
        arrays["session.values"] = np.stack([nothing if s.values is None else s.values for s in sessions])
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


def _session(arrays: Mapping[str, np.ndarray], row: int, name: str) -> Session:
    seconds = int(arrays["session.time"][row])
    time = None if seconds == _NEVER else np.datetime64(seconds, "s")
    steps, missing, gap = (int(arrays[f"session.{counter}"][row]) for counter in _COUNTERS)
    values = None if time is None else arrays["session.values"][row].copy()
    static = arrays["session.static"][row].copy()
    leaves = {
        key[5:]: array[row : row + 1].copy() for key, array in arrays.items() if key.startswith("leaf.")
    }
    return Session(name, time, steps, missing, gap, static, values, leaves)


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        arrays = tensor_file.load(data)
        head = _head(data)
        known = head["format"] == FORMAT and {"version", "model", "series", "sha256"} <= set(head)
    except (SafetensorError, KeyError, TypeError, ValueError, struct.error, MemoryError, RecursionError):
        raise StreamError(_DAMAGED) from None
    if not known:
        raise StreamError(_DAMAGED)
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
