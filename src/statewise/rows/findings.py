"""What the check of a frame found so far; errors are raised together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError
from statewise.rows.schema import Finding

_SHOWN = 3


class Findings:
    """Errors and warnings collected on the way."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def error(self, column: str, row: int | None, text: str) -> None:
        """Note an error; `stop` raises it."""
        self.found.append(Finding("error", column, row, text))

    def warning(self, column: str, text: str, row: int | None = None) -> None:
        """Note a warning, which the panel keeps."""
        self.found.append(Finding("warning", column, row, text))

    def stop(self) -> None:
        """Raises one DataError with a line per error, when there is one."""
        errors = [str(finding) for finding in self.found if finding.level == "error"]
        if errors:
            raise DataError("\n".join(errors))


def row_list(found: NDArray[np.int64]) -> str:
    """ "row 4", "rows 4, 7", "rows 4, 7, 9 and 12 more"."""
    shown = ", ".join(str(row) for row in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return f"row{'s' if len(found) > 1 else ''} {shown}{more}"


def first_row(mask: NDArray[np.bool_]) -> int:
    """Row of the first true value."""
    return int(mask.argmax())
