"""Reading text and making numbers of it works where neither torch nor a frame library can be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
for name in ("torch", "polars", "narwhals", "pandas", "pyarrow"):
    sys.modules[name] = None
from statewise.rows.cells import texts, tokens
from statewise.rows.records import records
from statewise.rows.text import tokenizers
from statewise.rows.text.labels import Labels
rows = records(sys.argv[1], ["text", "label"])
for kind in tokenizers.TOKENIZERS:
    fitted = tokenizers.fit(texts(rows, "text"), tokenizers.TokenizerConfig(kind))
    assert fitted.decode(fitted.encode("good film")) == "good film"
assert Labels.fit(rows["label"]).names == ("0", "1")
assert tokens(rows, "text")[0] == ["good", "film"]
print("ok")
"""


def test_the_text_part_needs_numpy_only(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    path = tmp_path / "films.csv"
    path.write_text("text,label\ngood film,1\nbad film,0\n", encoding="utf-8")
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "ok", "")
