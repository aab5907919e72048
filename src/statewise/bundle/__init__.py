"""The saved artefact: one stored zip of json, safetensors, a card and sample rows; never pickle.

Members: `manifest.json` (format, kind, config, codec, quantiles, live-step names and shapes, sha256 of every
other member), `weights.safetensors`, `state.safetensors` (the initial state of one row), `card.md`,
`samples.jsonl` (rows and the answers the saver got) and, optionally, `step.onnx`.
A file that is damaged, foreign, newer, oversized or hostile gets one BundleError line; nothing is executed.
"""

from statewise.bundle.archive import replace_file
from statewise.bundle.arrays import DTYPES, check_leaves, hash_arrays
from statewise.bundle.artefact import VERSION, Bundle, TensorSpec, parse_bundle, read_bundle, write_bundle

__all__ = [
    "DTYPES",
    "VERSION",
    "Bundle",
    "TensorSpec",
    "check_leaves",
    "hash_arrays",
    "parse_bundle",
    "read_bundle",
    "replace_file",
    "write_bundle",
]
