"""What a cell refuses in its options."""

from __future__ import annotations

from collections.abc import Sequence

from statewise.core.errors import ConfigError, suggestion


def at_least(value: int, low: int, where: str) -> int:
    """`value` itself. Raises ConfigError below `low`: "state_size: got 0, want 1 or more."."""
    if value < low:
        raise ConfigError(f"{where}: got {value}, want {low} or more.")
    return value


def between(value: float, low: float, high: float, where: str) -> float:
    """`value` itself. Raises ConfigError outside low ≤ value ≤ high."""
    if not low <= value <= high:
        raise ConfigError(f"{where}: got {value:g}, want {low:g} to {high:g}.")
    return float(value)


def above_zero(value: float, where: str) -> float:
    """`value` itself. Raises ConfigError unless it is a finite number above 0."""
    if not 0 < value < float("inf"):
        raise ConfigError(f"{where}: got {value:g}, want a number above 0.")
    return float(value)


def one_of(value: str, options: Sequence[str], where: str) -> str:
    """`value` itself. Raises ConfigError with a suggestion when it is none of `options`."""
    if value not in options:
        raise ConfigError(f"{where}: no such {where} '{value}'.{suggestion(value, options)}")
    return value
