"""Kinds of tasks by name."""

from __future__ import annotations

from statewise.training.plan import Kind
from statewise.training.plans import classify, forecast, generate, tag, translate

PLANS: dict[str, Kind] = {
    "forecast": forecast.KIND,
    "classify": classify.KIND,
    "tag": tag.KIND,
    "generate": generate.KIND,
    "translate": translate.KIND,
}
