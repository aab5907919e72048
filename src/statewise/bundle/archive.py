"""The container: a stored zip with a closed list of members, and strict JSON and text."""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from statewise.core.errors import BundleError

MANIFEST, WEIGHTS, STATE, CARD, SAMPLES, STEP = (
    "manifest.json",
    "weights.safetensors",
    "state.safetensors",
    "card.md",
    "samples.jsonl",
    "step.onnx",
)
MIB = 2**20
LIMITS = {
    MANIFEST: 16 * MIB,
    WEIGHTS: 8192 * MIB,
    STATE: 1024 * MIB,
    CARD: 4 * MIB,
    SAMPLES: 64 * MIB,
    STEP: 2047 * MIB,
}
OPTIONAL = {STEP}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same members give the same bytes


def zip_members(members: Mapping[str, bytes]) -> bytes:
    """The members as one zip file, stored."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, _EPOCH), data)
    return buffer.getvalue()


def unzip_members(data: bytes, name: str) -> dict[str, bytes]:
    """All members of a zip file. Raises BundleError for a foreign, doubled, compressed or oversized one."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data), name)
            return {entry.filename: archive.read(entry) for entry in entries}
    except BundleError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds on crafted bytes; each means the same here
        if data[:4] != b"PK\x03\x04":
            raise BundleError(f"{name}: not a Statewise bundle (not a zip file).") from None
        raise BundleError(f"{name}: damaged or truncated ({one_line(error)}). Get the file again.") from None


def _check_entries(entries: Sequence[zipfile.ZipInfo], size: int, name: str) -> None:
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise BundleError(f"{name}: not a Statewise bundle (a zip file without {MANIFEST}).")
    for entry in entries:
        if entry.filename not in LIMITS:
            raise BundleError(
                f"{name}: foreign member {entry.filename[:80]!r}. Nothing of the file was used."
            )
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 0x1:
            raise BundleError(f"{name}: {entry.filename} is compressed or encrypted, want it stored.")
        if entry.file_size > LIMITS[entry.filename]:
            limit = LIMITS[entry.filename] // MIB
            raise BundleError(
                f"{name}: {entry.filename} has {entry.file_size} bytes, at most {limit} MiB is read."
            )
    if len(set(names)) != len(names):
        raise BundleError(f"{name}: a member stands in it twice. Nothing of the file was used.")
    missing = set(LIMITS) - OPTIONAL - set(names)
    if missing:
        raise BundleError(f"{name}: damaged: {', '.join(sorted(missing))} is missing. Get the file again.")
    if sum(entry.file_size for entry in entries) > size:
        raise BundleError(f"{name}: damaged: its members claim more bytes than the file has.")


def text_of(data: bytes, name: str, member: str) -> str:
    """A member as text. Raises BundleError unless it is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BundleError(f"{name}: damaged: {member} is not UTF-8 text.") from None


def json_of(text: str, name: str, member: str) -> Any:
    """A member's text as plain values; NaN, doubled keys and endless nesting raise BundleError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: damaged: {member} is not JSON: {one_line(error)}.") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def json_text(value: Any, where: str, indent: int | None = None, sort_keys: bool = False) -> str:
    """Plain values as JSON text. Raises BundleError for NaN and for anything that is not plain."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, sort_keys=sort_keys)
    except (TypeError, ValueError) as error:
        raise BundleError(f"{where}: not plain JSON values: {one_line(error)}.") from None


def replace_file(target: Path, data: bytes) -> None:
    """Write `data` to `target` in one atomic rename: a crash leaves the old file or the new one."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def one_line(error: BaseException) -> str:
    """The first line of an error's text, short, without a closing full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0][:160] if lines else type(error).__name__).rstrip(".")
