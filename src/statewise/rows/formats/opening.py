"""The text of a file: unpacked, UTF-8, and what is wrong with it in one line."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from statewise.core.errors import DataError

_FOREIGN = {  # how what is no text begins
    b"\xff\xfe": "UTF-16, want UTF-8: save it as UTF-8",
    b"\xfe\xff": "UTF-16, want UTF-8: save it as UTF-8",
    b"\x1f\x8b": "packed by gzip: let its name end in .gz",
    b"\xfd7zXZ": "packed by xz: let its name end in .xz",
    b"PK\x03\x04": "a zip archive or a spreadsheet, want text: unpack it, or save it as CSV",
    b"PAR1": "a Parquet file: let its name end in .parquet",
}


def suffix_of(path: Path) -> str:
    """The suffix that tells the format, in lower case: ".csv" of rows.CSV.gz."""
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked when its name ends in .gz or .xz. Raises DataError naming the file."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, ValueError):  # a NUL in the name
        raise DataError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, want a file.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    suffix = path.suffix.lower()
    return _unpacked(path, content, suffix) if suffix in _PACKED else content


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte-order mark; line ends are "\\n".

    Raises DataError: "notes.txt, line 3: byte 0xe9 at column 12 is not UTF-8: save the file as UTF-8 (it may
    be Latin-1 or Windows-1252).", "notes.txt, line 3: a NUL character: is this a text file?", "notes.txt: is
    UTF-16, want UTF-8: save it as UTF-8.".
    """
    return decoded(path, read_bytes(path))


def decoded(path: Path, content: bytes) -> str:
    """The text of a file's unpacked content; raises as `read_text`."""
    for begin, what in _FOREIGN.items():
        if content.startswith(begin):
            raise DataError(f"{path}: is {what}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_misread(path, error)) from None
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise DataError(f"{path}, line {line}: a NUL character: is this a text file?")
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")  # line ends of old Macs


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without their ends; a line end at the end of the file begins no line.

    Only "\\n" and "\\r\\n" end a line: other characters that Unicode counts as line ends stay in the text.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def _misread(path: Path, error: UnicodeDecodeError) -> str:
    before = error.object[: error.start]
    line = before.count(b"\n") + 1
    start = before.rfind(b"\n") + 1
    column = len(before[start:].decode("utf-8", "replace").removeprefix("\ufeff")) + 1
    byte = f"byte 0x{error.object[error.start]:02x} at column {column}"
    remedy = "save the file as UTF-8 (it may be Latin-1 or Windows-1252)"
    return f"{path}, line {line}: {byte} is not UTF-8: {remedy}."


def _unpacked(path: Path, content: bytes, suffix: str) -> bytes:
    try:
        return _PACKED[suffix](content)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path}: not a readable {suffix} file: damaged, cut short or not packed.") from None


def _unxz(content: bytes) -> bytes:
    import lzma  # some builds of Python lack it

    try:
        return lzma.decompress(content)
    except lzma.LZMAError as error:
        raise EOFError(str(error)) from None


_PACKED = {".gz": gzip.decompress, ".xz": _unxz}
