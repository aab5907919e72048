"""Kinds of models by the name that a bundle gives them."""

from __future__ import annotations

from collections.abc import Callable

from statewise.bundle import Bundle
from statewise.models import classify, forecast, generate, tag, translate
from statewise.models.model import Model

KINDS: dict[str, Callable[[Bundle], Model]] = {
    "forecast": forecast.from_bundle,
    "classify": classify.from_bundle,
    "tag": tag.from_bundle,
    "generate": generate.from_bundle,
    "translate": translate.from_bundle,
}
