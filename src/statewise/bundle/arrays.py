"""Named arrays: as safetensors bytes, hashed, and checked against a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensor_file

from statewise.bundle.archive import one_line
from statewise.core.errors import BundleError, StreamError

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def array_bytes(arrays: Mapping[str, np.ndarray], name: str, member: str) -> bytes:
    """Arrays as safetensors bytes. Raises BundleError for a dtype that is not storable."""
    for key, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise BundleError(
                f"{name}: {member}: '{key}' is {array.dtype.name}, want one of {', '.join(DTYPES)}."
            )
    return tensor_file.save({key: np.ascontiguousarray(array) for key, array in arrays.items()})


def arrays_of(data: bytes, name: str, member: str) -> dict[str, np.ndarray]:
    """The arrays in safetensors bytes. Raises BundleError for anything else."""
    try:
        arrays = tensor_file.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise BundleError(f"{name}: damaged: {member}: {one_line(error)}.") from None
    for key, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise BundleError(f"{name}: {member}: '{key[:80]}' has an unknown dtype {array.dtype.name}.")
    return arrays


def hash_arrays(digest: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Feed names, dtypes, shapes and bytes of `arrays`, sorted by name, to a hashlib object."""
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())


def check_leaves(leaves: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> None:
    """Raise StreamError unless the state `leaves` have the names, shapes and dtypes of `want`."""
    if set(leaves) != set(want):
        missing, unknown = sorted(set(want) - set(leaves)), sorted(set(leaves) - set(want))
        raise StreamError(f"state: missing leaves {missing}, unknown leaves {unknown}.")
    for name, leaf in want.items():
        got = leaves[name]
        if got.shape != leaf.shape or got.dtype != leaf.dtype:
            raise StreamError(
                f"state: leaf '{name}' is {got.dtype}{list(got.shape)}, want {leaf.dtype}{list(leaf.shape)}."
            )
