"""How each kind of task is trained: one file per kind, named by `table.py`."""
