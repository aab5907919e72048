"""From a bundle back to a model."""

from __future__ import annotations

import os
from typing import TypeVar

from statewise.bundle import Bundle, read_bundle
from statewise.core.errors import BundleError, suggestion
from statewise.models.model import Model
from statewise.models.table import KINDS
from statewise.recurrence import Recurrence

Wanted = TypeVar("Wanted", bound=Model)


def load(path: str | os.PathLike[str]) -> Model:
    """The model saved at `path`; its sample rows are replayed first. Raises BundleError in one line."""
    model = from_bundle(read_bundle(path))
    model.verify()
    return model


def load_as(path: str | os.PathLike[str], wanted: type[Wanted], verb: str) -> Wanted:
    """The model of one kind saved at `path`, for a verb that takes no other. Raises BundleError."""
    model = load(path)
    if not isinstance(model, wanted):
        raise BundleError(f"{path}: {verb} takes a model of kind '{wanted.kind}', this is '{model.kind}'.")
    return model


def from_bundle(bundle: Bundle) -> Model:
    """The model that a bundle holds. Raises BundleError."""
    if bundle.kind not in KINDS:
        known = suggestion(bundle.kind, KINDS)
        raise BundleError(f"bundle: no such kind of model '{bundle.kind}'.{known}")
    return KINDS[bundle.kind](bundle)


def live_recurrence(bundle: Bundle) -> Recurrence:
    """The live recurrence stored in a bundle."""
    return from_bundle(bundle).live
