"""What several verbs take: rows to read and files to write, checked before any work begins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from statewise.core.errors import ConfigError, DataError, MissingExtraError, suggestion

PICTURES = (".png", ".svg", ".pdf")


def add_model_and_history(parser: Any) -> None:
    """BUNDLE, DATA and --future: a saved model, the rows it answers to, and what is known ahead."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (model.sw)")
    parser.add_argument(
        "data", metavar="DATA", help="the history: a .csv, .csv.gz or .parquet file, or a data set"
    )
    parser.add_argument(
        "--future", metavar="FILE", help="rows of the times ahead, with the columns known in advance"
    )


def read_rows(source: str) -> Any:
    """The frame of a .csv, .csv.gz or .parquet file, or of a data set of the catalogue. Raises DataError."""
    from statewise.data import datasets
    from statewise.rows.frames import read

    path = Path(source).expanduser()
    if path.exists() or path.suffix:
        return read(path)
    if source not in datasets.CATALOGUE:
        near = suggestion(source, datasets.CATALOGUE)
        raise DataError(f"{source}: no such file, and no such data set.{near}")
    return datasets.load(source)


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """For argparse: the path of a file to be written, of one of `suffixes`, in a folder that exists."""

    def check(text: str) -> Path:
        path = Path(text).expanduser()
        if suffixes and path.suffix.lower() not in suffixes:
            raise ConfigError(f"{path}: cannot write '{path.suffix}' files, want {_either(suffixes)}.")
        if path.is_dir():
            raise ConfigError(f"{path}: a folder, want the name of a file to write.")
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent}: no such folder, so {path.name} cannot be written there.")
        if not os.access(path.parent, os.W_OK):
            raise ConfigError(f"{path.parent}: not writable, so {path.name} cannot be written there.")
        return path

    return check


def picture_file(text: str) -> Path:
    """For argparse: a picture to be drawn; without matplotlib it is refused at once, not after the work."""
    path = output_file(*PICTURES)(text)
    need_matplotlib()
    return path


def need_matplotlib() -> None:
    """Raises MissingExtraError where no picture can be drawn."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("A picture", "matplotlib", "plot")


def note(text: str) -> None:
    """Something to know, on standard error, so that it never mixes with results."""
    print(f"note: {text}", file=sys.stderr)


def _either(options: tuple[str, ...]) -> str:
    *some, last = options
    return f"{', '.join(some)} or {last}" if some else last
