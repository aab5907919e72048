"""Who takes part in a forecast: bands of the target's past, the season, covariates alone or in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError, suggestion
from statewise.explain.bands import Bands
from statewise.rows.forecast import ForecastCodec

MAX_PLAYERS = 12  # 4,096 coalitions
_MANY = 6  # covariates; more are grouped by role
_OLDER, _SEASON = "older memory", "season"


@dataclass(frozen=True)
class Player:
    """A part of what the model reads. `phrase` is its name within a sentence."""

    name: str
    phrase: str
    plural: bool = False
    columns: tuple[str, ...] = ()  # of covariates


@dataclass(frozen=True, eq=False)
class Cast:
    """All players (newest, before, older, season, covariates …), and who owns which channel.

    Owners are places in `players`; the target's channels have none here (-1): their owner depends on time.
    """

    players: tuple[Player, ...]
    now: NDArray[np.int64]  # [F]
    future: NDArray[np.int64]  # [G]

    NEWEST, BEFORE, OLDER, SEASON = 0, 1, 2, 3


def cast(codec: ForecastCodec, bands: Bands, group: Mapping[str, Sequence[str]] | None) -> Cast:
    """The players of a model's forecasts. `group` merges covariates; by default more than 6 go by role.

    Raises ConfigError for unknown columns, columns in two groups, and more than 12 players.
    """
    players = [
        Player(bands.newest_name, f"the {bands.newest_name}", plural=True),
        Player(bands.before_name, bands.before_name, plural=bands.before_name.endswith("s before")),
        Player(_OLDER, _OLDER),
        Player(_SEASON, f"the {_SEASON}"),
        *_covariates(codec, group),
    ]
    if len(players) > MAX_PLAYERS:
        raise ConfigError(
            f"explain: got {len(players)} players, {2 ** len(players):,} coalitions, want at most "
            f'{MAX_PLAYERS} players: merge covariates, as in group={{"weather": ["temp", "wind"]}}.'
        )
    names = [player.name for player in players]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ConfigError(f"group: '{twice}' names two players: choose another name for the group.")
    owner = {column: i for i, player in enumerate(players) for column in player.columns}
    width = {
        role: [owner[c.name] for c in codec.columns if c.role == role for _ in range(c.width)]
        for role in ("observed", "known", "static")
    }
    layout = codec.layout
    calendar = [Cast.SEASON] * layout.calendar
    now = [-1] * layout.target + width["observed"] + width["known"] + calendar + width["static"]
    return Cast(tuple(players), np.array(now, np.int64), np.array(width["known"] + calendar, np.int64))


def _covariates(codec: ForecastCodec, group: Mapping[str, Sequence[str]] | None) -> list[Player]:
    schema = codec.schema
    names = [*schema.observed, *schema.known]
    static = [Player("static", "the static columns", True, tuple(schema.static))] if schema.static else []
    if group is None:
        if len(names) <= _MANY:
            return [*(Player(name, name, columns=(name,)) for name in names), *static]
        roles = {"observed": schema.observed, "known": schema.known}
        players = [Player(f"{r} columns", f"the {r} columns", True, c) for r, c in roles.items() if c]
        return [*players, *static]
    _check_groups(group, names)
    of = {column: name for name, columns in group.items() for column in columns}
    players = [Player(name, f"the {name}", columns=tuple(group[name])) for name in group if group[name]]
    alone = [Player(name, name, columns=(name,)) for name in names if name not in of]
    return [*players, *alone, *static]


def _check_groups(group: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name, columns in group.items():
        if isinstance(columns, str):
            raise ConfigError(f"group: '{name}' holds the text '{columns}', want a list: ['{columns}'].")
        for column in columns:
            if column not in names:
                close = suggestion(column, names)
                raise ConfigError(f"group: '{name}' holds '{column}', no covariate.{close}")
            if column in seen:
                raise ConfigError(f"group: '{column}' is in '{seen[column]}' and '{name}', want it in one.")
            seen[column] = name
