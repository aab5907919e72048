"""Public data sets by name: `load(name)` gives a long polars frame, `table()` lists what there is.

A set is read from the folder named by STATEWISE_DATA when its files lie there, from the package itself
(nyc_flights), or else from its public origin into a cache folder (STATEWISE_CACHE). Every file is checked
against a SHA-256 sum before it is read.
"""

from __future__ import annotations

import os
import sys
from importlib.resources import files as resource_files
from pathlib import Path
from typing import TYPE_CHECKING

from statewise.core.errors import ConfigError, DataError, lookup
from statewise.data.catalogue import CATALOGUE, DataSet
from statewise.data.download import cache_folder, fetched_bytes, local_bytes, unpack

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CATALOGUE", "DataSet", "info", "load", "table"]


def load(name: str, *, every: str | None = None) -> pl.DataFrame:
    """The data set as one long frame: unique_id, ds, its targets, its covariates; a text as one row, text.

    With `every`, for example "1h", the means of all numbers over such periods. Missing values stay null.
    Raises DataError when a checksum differs or the origin cannot be reached, ConfigError for an unknown name
    or periods of a set without times.

    >>> load("nyc_flights").columns[:5]
    ['unique_id', 'ds', 'departures', 'delay', 'scheduled']
    """
    from statewise.data.readers import means

    entry = info(name)
    if every is not None and entry.task != "forecast":
        raise ConfigError(f"every: {name} holds no times to average over.")
    frame = entry.read(contents(entry))
    return frame if every is None else means(frame, every)


def info(name: str) -> DataSet:
    """The catalogue entry: task, licence, citation, size, split, column roles, origin, note."""
    return lookup(CATALOGUE, name, "dataset")


def table() -> pl.DataFrame:
    """All entries: name, task, licence, size, split, and where a load would take it from now."""
    import polars as pl

    rows = [
        {
            "name": entry.name,
            "task": entry.task,
            "licence": entry.licence,
            "size": entry.size,
            "split": entry.split,
            "from": place(entry),
        }
        for entry in CATALOGUE.values()
    ]
    return pl.DataFrame(rows)


def place(entry: DataSet) -> str:
    """Where a load would take the set from now: "package", "folder", "cache", "download" or "nowhere"."""
    if entry.embedded:
        return "package"
    folder = local_folder()
    if folder is not None and all(present(folder / file.path) for file in entry.files):
        return "folder"
    if not entry.downloads:
        return "nowhere"
    names = [download.url.rsplit("/", 1)[-1] for download in entry.downloads]
    return "cache" if all((cache_folder() / entry.name / name).is_file() for name in names) else "download"


def contents(entry: DataSet) -> list[bytes]:
    """Unpacked and checked content of the entry's files."""
    if entry.embedded:
        return [unpack((resource_files("statewise.data") / entry.embedded).read_bytes(), entry.embedded)]
    folder = local_folder()
    if folder is not None:
        found = [local_bytes(file, folder) for file in entry.files]
        whole = [content for content in found if content is not None]
        if len(whole) == len(found):
            return whole
    if not entry.downloads:
        wanted = ", ".join(file.path for file in entry.files)
        raise DataError(
            f"{entry.name}: not in the folder STATEWISE_DATA ({folder or 'not set'}), and {entry.origin} "
            f"serves no file that can be read here. Set STATEWISE_DATA to a folder that holds {wanted}."
        )
    if place(entry) == "download":
        print(
            f"{entry.name}: from {entry.origin}, licence {entry.licence}; cite {entry.citation}",
            file=sys.stderr,
        )
    return [fetched_bytes(entry.name, download) for download in entry.downloads]


def local_folder() -> Path | None:
    """The folder named by STATEWISE_DATA, or None. Raises DataError when it names none."""
    named = os.environ.get("STATEWISE_DATA")
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise DataError(f"STATEWISE_DATA: '{named}' is no folder. Set it to one, or unset it.")
    return folder


def present(path: Path) -> bool:
    return path.is_file() or path.with_suffix("").is_file()
