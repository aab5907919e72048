"""What the columns of a forecast frame mean, and what the check of a frame finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from statewise.core.errors import ConfigError


@dataclass(frozen=True)
class ForecastSchema:
    """Roles of the columns of a long frame.

    `observed` columns are known up to now, `known` ones for the future too, `static` ones are constant per
    series, as the id itself may be. A frame without a column "unique_id" is one series. `frequency`
    ("1h", "1mo", "B") is inferred when None; `timezone` says in which zone times without an offset
    were written down.
    """

    time: str = "ds"
    target: tuple[str, ...] = ("y",)
    id: str | None = "unique_id"
    observed: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    frequency: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        for role in ("target", "observed", "known", "static"):  # one name or a list will do
            names = getattr(self, role)
            object.__setattr__(self, role, (names,) if isinstance(names, str) else tuple(names))
        if not self.target:
            raise ConfigError("target: got no column, want at least one.")
        seen: dict[str, str] = {}
        for role, names in self.roles.items():
            for name in names:
                if name in seen and (seen[name], role) != ("id", "static"):
                    raise ConfigError(
                        f"{role}: column '{name}' is already {seen[name]}: give each column one role."
                    )
                seen[name] = role

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Columns by role: time, id, target, observed, known, static."""
        return {
            "time": (self.time,),
            "id": (self.id,) if self.id else (),
            "target": self.target,
            "observed": self.observed,
            "known": self.known,
            "static": self.static,
        }

    @property
    def values(self) -> tuple[str, ...]:
        """All columns that hold values: targets, observed, known, static."""
        return (*self.target, *self.observed, *self.known, *self.static)


@dataclass(frozen=True)
class Finding:
    """One thing the check of a frame found; `row` counts the rows of the frame from 0."""

    level: Literal["error", "warning"]
    column: str
    row: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.column}: {self.text}"
