"""Where a text that is written piece by piece ends: at the first stop string."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from statewise.core.errors import ConfigError


def checked_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """The stop strings as a tuple. ConfigError for an empty one, which every text contains."""
    stops = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
    if any(not one for one in stops):
        raise ConfigError("stop: got an empty string, want text that ends the output.")
    return stops


def until(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The text of `pieces` up to the first stop string, which is left out, as soon as it is certain.

    A piece that may be the beginning of a stop string is held back until it is clear whether it is. Of
    several stop strings the first one to be complete counts, so that the cut into pieces changes nothing.
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [(place + len(stop), place) for stop in stops if (place := held.find(stop)) >= 0]
        if found:
            _, end = min(found)
            if end:
                yield held[:end]
            return
        safe = len(held) - _open(held, stops)
        if safe:
            yield held[:safe]
            held = held[safe:]
    if held:
        yield held


def _open(text: str, stops: Sequence[str]) -> int:
    """Letters at the end of `text` that may be the beginning of a stop string."""
    longest = min(max((len(stop) for stop in stops), default=1) - 1, len(text))
    for size in range(longest, 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
