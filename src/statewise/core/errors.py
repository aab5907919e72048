"""Every error Statewise raises on purpose: where, got, want, do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")
_SHOWN = 80


class StatewiseError(Exception):
    """Root of all errors raised on purpose; the command line prints it as one line and exits with 2."""


class ConfigError(StatewiseError):
    """A setting is unknown, of the wrong type or outside its range."""


class DataError(StatewiseError):
    """Rows or frames do not fit the schema: names the column, the row and the remedy."""


class ShapeError(StatewiseError):
    """A tensor or state has the wrong shape, structure or dtype."""


class BundleError(StatewiseError):
    """A saved artefact is damaged, foreign or of another version; nothing of it was executed."""


class StreamError(StatewiseError):
    """A live session was handed something it cannot take; its state is unchanged."""


class TrainingError(StatewiseError):
    """Training cannot go on; the best weights so far are kept."""


class LawError(StatewiseError, AssertionError):
    """whole = steps = chunks does not hold, or a guarantee (leak, recency) is broken."""


class MissingExtraError(StatewiseError, ImportError):
    """An optional dependency is not installed; says which extra brings it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        remedy = f"pip install 'statewise[{extra}]'"
        super().__init__(f"{feature} needs {package}, which is not installed: {remedy}")


def shown(value: object) -> str:
    """A value of any kind as an error shows it: its repr, cut after 80 letters."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def suggestion(name: str, options: Iterable[str]) -> str:
    """Text " Did you mean 'gru'?" for the closest option, or all options, sorted, when none is close."""
    names = sorted(options)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}." if names else ""


def lookup(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Entry `name` of a table. Raises ConfigError: "cell: no such cell 'grru'. Did you mean 'gru'?"."""
    if name not in table:
        raise ConfigError(f"{kind}: no such {kind} '{name}'.{suggestion(name, table)}")
    return table[name]
