"""Reading a tokeniser back from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statewise.core.errors import BundleError


def flag(plain: Mapping[str, Any], name: str) -> bool:
    """True or false under `name`. Raises BundleError for anything else."""
    value = plain.get(name)
    if not isinstance(value, bool):
        raise BundleError(f"tokenizer.{name}: got {value!r}, want true or false.")
    return value
