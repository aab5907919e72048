"""The public checks: whole = steps = chunks, as a function that any recurrence can be handed to."""

from __future__ import annotations

from statewise.testing.recurrence import check_recurrence as check_recurrence

__all__ = ["check_recurrence"]
