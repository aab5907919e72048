"""Files of rows, one format one file; table.py names them."""
