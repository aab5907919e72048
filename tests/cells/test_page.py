"""docs/cells.md says what the table and the docstrings say."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "cells_page.py"


def test_the_page_is_fresh() -> None:
    made = runpy.run_path(str(SCRIPT))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run: python scripts/cells_page.py"
