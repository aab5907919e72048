"""Kinds of tasks by name."""

from __future__ import annotations

from statewise.training.plan import Kind
from statewise.training.plans import forecast

PLANS: dict[str, Kind] = {"forecast": forecast.KIND}
