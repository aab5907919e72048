"""The public checks of whole = steps = chunks: for any recurrence, a task, a model's live sessions."""

from __future__ import annotations

from statewise.testing.recurrence import check_recurrence as check_recurrence
from statewise.testing.stream import check_stream as check_stream
from statewise.testing.task import check_task as check_task

__all__ = ["check_recurrence", "check_stream", "check_task"]
