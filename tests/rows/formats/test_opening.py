"""Encodings, packed files and files that are no text: one line says what is wrong and where."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from statewise.core.errors import DataError
from statewise.rows.formats.opening import read_lines, read_text, suffix_of


def test_packed_and_plain_read_alike(tmp_path: Path) -> None:
    text = "naïve\nzweite Zeile\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "a.TXT.XZ").write_bytes(lzma.compress(text.encode()))
    for name in ("a.txt", "a.txt.gz", "a.TXT.XZ"):
        assert read_text(tmp_path / name) == text
        assert read_lines(tmp_path / name) == ["naïve", "zweite Zeile"]
        assert suffix_of(tmp_path / name) == ".txt"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb", ["a", "b"]),
        (b"a\rb\nc", ["a\rb", "c"]),
        (b"\xef\xbb\xbfa\n\nb", ["a", "", "b"]),
        ("a\u2028b\x0bc\x85d\n".encode(), ["a\u2028b\x0bc\x85d"]),
    ],
)
def test_only_real_line_ends_end_a_line(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_lines(path) == lines


REMEDY = "save the file as UTF-8 (it may be Latin-1 or Windows-1252)"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("eins\nzwei\nfür".encode("latin-1"), f", line 3: byte 0xfc at column 2 is not UTF-8: {REMEDY}."),
        (b"\xef\xbb\xbfab\xff", f", line 1: byte 0xff at column 3 is not UTF-8: {REMEDY}."),
        ("äö".encode() + b"\xc3", f", line 1: byte 0xc3 at column 3 is not UTF-8: {REMEDY}."),
        ("a".encode("utf-16"), ": is UTF-16, want UTF-8: save it as UTF-8."),
        ("a\nb".encode("utf-16-le"), ", line 1: a NUL character: is this a text file?"),
        (b"a\nb\0\n", ", line 2: a NUL character: is this a text file?"),
        (gzip.compress(b"a"), ": is packed by gzip: let its name end in .gz."),
        (lzma.compress(b"a"), ": is packed by xz: let its name end in .xz."),
        (
            b"PK\x03\x04more",
            ": is a zip archive or a spreadsheet, want text: unpack it, or save it as CSV.",
        ),
        (b"PAR1more", ": is a Parquet file: let its name end in .parquet."),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_text(path)
    assert str(caught.value) == f"{path}{told}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"text" * 100)
    (tmp_path / "a.txt.gz").write_bytes(packed[:-10])
    (tmp_path / "b.txt.gz").write_bytes(b"text")
    (tmp_path / "c.txt.xz").write_bytes(b"text")
    (tmp_path / "folder.txt").mkdir()
    damaged = "damaged, cut short or not packed."
    cases = {
        "a.txt.gz": f": not a readable .gz file: {damaged}",
        "b.txt.gz": f": not a readable .gz file: {damaged}",
        "c.txt.xz": f": not a readable .xz file: {damaged}",
        "folder.txt": ": is a folder, want a file.",
        "none.txt": ": no such file.",
        "a\0b.txt": ": no such file.",
        "none.txt/inside.txt": ": no such file.",
        "a.txt.gz/inside.txt": ": cannot be read: Not a directory.",
    }
    for name, told in cases.items():
        with pytest.raises(DataError) as caught:
            read_text(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}{told}"
