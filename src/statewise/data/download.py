"""Bytes of a data set's files, checked: from a local folder, the cache, or the public origin."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from statewise.core.errors import DataError

CHUNK = 1 << 16
TIMEOUT = 60  # seconds without an answer


@dataclass(frozen=True)
class File:
    """A file as it lies in the folder STATEWISE_DATA; `sha256` is of its unpacked content."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Download:
    """A file at its public origin.

    `sha256` is of the content after unpacking (.gz, or `member` of a .zip); with `whole=True` it is of the
    archive as the origin serves it, where only that sum is known.
    """

    url: str
    sha256: str
    member: str = ""
    whole: bool = False


def cache_folder() -> Path:
    """Where downloads are kept: STATEWISE_CACHE, or the platform's cache folder."""
    if folder := os.environ.get("STATEWISE_CACHE"):
        return Path(folder)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "statewise"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "statewise" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statewise"


def local_bytes(file: File, folder: Path) -> bytes | None:
    """Unpacked content of `file` below `folder` (packed or plain), or None when it is not there."""
    packed = folder / file.path
    for path in (packed, packed.with_suffix("")):
        if path.is_file():
            content = unpack(path.read_bytes(), path.name)
            check(str(path), content, file.sha256, "Copy it again from its source, or unset STATEWISE_DATA.")
            return content
    return None


def fetched_bytes(name: str, download: Download) -> bytes:
    """Unpacked content of `download`, from the cache when it lies there whole."""
    path = cache_folder() / name / download.url.rsplit("/", 1)[-1]
    if path.is_file():
        served = path.read_bytes()
        remedy = f"Delete it to download it again from {download.url}."
        return verified(str(path), served, download, remedy)
    served = fetch(name, download)
    remedy = "The origin has changed: pin another version of Statewise, or set STATEWISE_DATA."
    content = verified(download.url, served, download, remedy)
    keep(path, served)
    return content


def verified(where: str, served: bytes, download: Download, remedy: str) -> bytes:
    """Unpacked content of what was served, after its checksum was found right."""
    if download.whole:
        check(where, served, download.sha256, remedy)
    content = unpack(served, download.member or download.url)
    if not download.whole:
        check(where, content, download.sha256, remedy)
    return content


def fetch(name: str, download: Download) -> bytes:
    """What the origin serves, with a progress bar. Raises DataError when it cannot be reached."""
    from tqdm import tqdm

    parts: list[bytes] = []
    try:
        with urllib.request.urlopen(download.url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0) or None
            with tqdm(total=total, unit="B", unit_scale=True, desc=name, leave=False, delay=1) as bar:
                while part := answer.read(CHUNK):
                    parts.append(part)
                    bar.update(len(part))
    except OSError as error:  # URLError, timeouts and broken connections are all OSErrors
        raise DataError(
            f"{name}: could not download {download.url} ({error}), and no copy is in "
            f"{cache_folder() / name}. Connect to the network, or set STATEWISE_DATA to a folder that "
            "holds the file."
        ) from error
    return b"".join(parts)


def unpack(content: bytes, name: str) -> bytes:
    """Content of a .gz or .xz file, or the member `name` of a .zip; anything else as it is."""
    try:
        if content[:2] == b"\x1f\x8b":
            return gzip.decompress(content)
        if content[:6] == b"\xfd7zXZ\x00":
            return lzma.decompress(content)
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(name)
    except (OSError, EOFError, KeyError, lzma.LZMAError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{name}: the archive is damaged ({error}). Fetch it again.") from error
    return content


def check(where: str, content: bytes, want: str, remedy: str) -> None:
    """Raises DataError unless the SHA-256 of `content` is `want`."""
    got = hashlib.sha256(content).hexdigest()
    if got != want:
        raise DataError(f"{where}: sha256 is {got[:16]}…, want {want[:16]}…. {remedy}")


def keep(path: Path, content: bytes) -> None:
    """Writes `content` to `path` in one step, so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    os.replace(partial, path)
