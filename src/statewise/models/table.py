"""Kinds of models by the name that a bundle gives them."""

from __future__ import annotations

from collections.abc import Callable

from statewise.bundle import Bundle
from statewise.models import forecast
from statewise.models.model import Model

KINDS: dict[str, Callable[[Bundle], Model]] = {"forecast": forecast.from_bundle}
