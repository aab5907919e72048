"""Tasks by kind: the name that bundles and experiment files give them."""

from __future__ import annotations

from typing import Any

from statewise.tasks.forecast import Forecast

TASKS: dict[str, type[Any]] = {"forecast": Forecast}
