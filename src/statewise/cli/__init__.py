"""The command line: one file per verb, each with `add_parser` and `run`."""
