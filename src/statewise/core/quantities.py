"""Durations and sizes as people write them: "5 min", "1 ms", "50 MB"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from statewise.core.errors import ConfigError, shown

SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
BYTES: Mapping[str, int] = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_WORDS = {"sec": "s", "second": "s", "minute": "min", "hour": "h"}  # and their plurals
_WRITTEN = re.compile(r"([0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*([a-zµμ]*)", re.IGNORECASE)


def seconds(quantity: str | float, where: str) -> float:
    """A duration in seconds: "5 min", "1.5 hours", "200 us" (or µs), or a number of seconds.

    `where` names the setting in the error.
    Raises ConfigError: 'budget: got "5 days", want a duration above zero such as "5 min" (units: ns, us, ms,
    s, min, h).'.
    """
    return _parsed(quantity, SECONDS, where, 'a duration above zero such as "5 min"')


def size_in_bytes(quantity: str | float, where: str) -> int:
    """A size in whole bytes: "50 MB" (a million each), "2 MiB" (2**20 each), or a number of bytes.

    Raises ConfigError: 'memory: got "50 MBit", want a size above zero such as "50 MB" (units: B, kB, MB, GB,
    KiB, MiB, GiB).'.
    """
    return max(1, round(_parsed(quantity, BYTES, where, 'a size above zero such as "50 MB"')))


def in_seconds(quantity: object) -> float | None:
    """A duration in seconds, of any sign and size; None for what is no duration."""
    return _number(quantity, SECONDS)


def duration_text(value: float) -> str:
    """A duration in the unit that shows it best, three digits: "820 µs", "1.25 s", "3.4 min"."""
    unit = max((u for u in SECONDS if SECONDS[u] <= value * 1.0000001), key=SECONDS.__getitem__, default="ns")
    return f"{_digits(value / SECONDS[unit])} {unit.replace('us', 'µs')}"


def size_text(count: float) -> str:
    """A size in decimal units, three digits: "512 B", "1.5 kB", "2 MB"."""
    unit = max((u for u in ("B", "kB", "MB", "GB") if BYTES[u] <= count), key=BYTES.__getitem__, default="B")
    return f"{_digits(count / BYTES[unit])} {unit}"


def _parsed(quantity: str | float, units: Mapping[str, float], where: str, wanted: str) -> float:
    value = _number(quantity, units)
    if value is None or not 0 < value < math.inf:
        got = f'"{quantity}"' if isinstance(quantity, str) else shown(quantity)
        raise ConfigError(f"{where}: got {got}, want {wanted} (units: {', '.join(units)}).")
    return value


def _number(quantity: object, units: Mapping[str, float]) -> float | None:
    """The quantity in the base unit; None for what is no quantity. The case of a unit does not matter."""
    if isinstance(quantity, (int, float)) and not isinstance(quantity, bool):
        return float(quantity)
    if not isinstance(quantity, str) or (match := _WRITTEN.fullmatch(quantity.strip())) is None:
        return None
    number, written = match.groups()
    if not written:
        return float(number)
    unit = written.replace("µ", "u").replace("μ", "u").lower()  # the micro sign and the Greek letter
    known = {name.lower(): factor for name, factor in units.items()}
    singular = unit.removesuffix("s")
    factor = known.get(unit, known.get(_WORDS.get(singular, singular if singular == "min" else "")))
    return None if factor is None else float(number) * factor


def _digits(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
