"""`python -m statewise`: the same as the command `statewise`."""

from __future__ import annotations

import sys

from statewise.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
