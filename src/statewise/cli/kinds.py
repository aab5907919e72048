"""Kinds of models at the prompt: their names in words, their rows, and which verb is theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from statewise.core.errors import ConfigError

FORECAST = "forecast"
CALLED = {
    FORECAST: "forecaster",
    "classify": "classifier",
    "tag": "tagger",
    "generate": "language model",
    "translate": "translator",
}


def called(kind: str) -> str:
    """A kind in words, with its article: "a classifier"."""
    return f"a {CALLED.get(kind, f'model of kind {kind!r}')}"


def bundle_kind(path: str | Path) -> str:
    """The kind of a saved model, read without torch. Raises BundleError."""
    from statewise.bundle import read_bundle

    return read_bundle(path).kind


def check_forecaster(path: str | Path, verb: str, instead: str) -> None:
    """Raise ConfigError, which says what to do `instead`, unless a forecaster is saved at `path`."""
    kind = bundle_kind(path)
    if kind != FORECAST:
        raise ConfigError(f"{verb}: for forecasters; {path} is {called(kind)}: {instead}.")


def text_rows(source: str) -> Any:
    """What is read from DATA for kinds other than forecasts: a file, or two of parallel text ("a.de,a.en").

    The files are read, and refused in one line, by the task.
    """
    path = Path(source).expanduser()
    first, comma, second = source.partition(",")
    if comma and not path.exists():
        return Path(first).expanduser(), Path(second).expanduser()
    return path
