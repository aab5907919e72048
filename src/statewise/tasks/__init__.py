"""Tasks: what is learned around a backbone; one task, one file."""
