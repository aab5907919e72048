"""Cells: one recurrence, one file; `table.CELLS` names them."""
