"""Tasks by kind: the name that bundles and experiment files give them."""

from __future__ import annotations

from typing import Any

from statewise.tasks.classify import Classify
from statewise.tasks.forecast import Forecast
from statewise.tasks.generate import Generate
from statewise.tasks.tag import Tag
from statewise.tasks.translate import Translate

TASKS: dict[str, type[Any]] = {
    "forecast": Forecast,
    "classify": Classify,
    "tag": Tag,
    "generate": Generate,
    "translate": Translate,
}
