"""Rows to numbers and back, NumPy only: frames, their check, the grid, calendars, codecs."""
