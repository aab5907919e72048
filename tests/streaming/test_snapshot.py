"""Sessions as bytes: exact, and any damage is refused in one line."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as tensor_file

from statewise.bundle import hash_arrays
from statewise.core.errors import StreamError
from statewise.streaming.snapshot import Session, pack, unpack

LEAVES = {
    "hidden": np.array([[1.5, np.nan, -0.0]], np.float32),
    "keep": np.zeros((1, 0), bool),
    "count": np.array([2**53 + 1]),
}
SEEN = Session(
    "ä",
    {"time": 1_704_085_200, "steps": 7, "missing": 2, "gap": 1},
    {"static": np.array([3.0], np.float32)},
    np.ones((2, 3, 4)),
    LEAVES,
)
NEW = SEEN._replace(name='b"\n', counts={"time": -(2**63), "steps": 0, "missing": 0, "gap": 0}, values=None)
WORD = Session("", {"steps": 3}, {}, np.array([0.25, -np.inf], np.float32), LEAVES, {"word": "ü", "n": [1.5]})
BEFORE = (  # two sessions as version 0.1.0 wrote them
    r"c-obd%}T>S5P<zT_!?!;t0bGvChbM>P!t3oz%6Bxoo$0nQo7rUl%mhz6Zr@}ibs!T6VRkoAp^@~W@o;gA98bgRLho3r#V_sU"
    r"|~8Xqb)HOEIwrh$%t$v(d8-!E6Hdef3MDsT_NO>(8{~PmC4G&h4{|SONEOj0g|+dF}TXmIOl^TQm#D@d2^FUGN~ixz(UcaDS"
    r"=6h8U)jU0v4%AaIItI1)eX$a0m>eL?fmm2~!=h0ES`Ayfh2|c%+At?8uIi1%kdv%XML0U&=l&T~D`y6Y8FG)&rYRQukhJZP1"
    r"#^<xyWus&s?K^>s0WWv_f+(15i8c~<FS)(a9a%HuY~SX`Q32p&_x+X$QG*oz=IjlDKu1B*3wsu*_})TfLdAjQ>Cd0kAslzFB"
    r"U79CE&I-KCZTsf~cvo{p5S^6KxKeV5i`jPl4<`J>8;OqPQyAH!Uz=%Y{*bN#vuK%XNQCI)U$)0_-XMc>}uw}kB>htn{{q^#<"
    r"ey?KQUm8~X`|8S_Z=>QF{Q"
)
DAMAGED = "snapshot: damaged, truncated or not a Statewise snapshot."


def equal(got: Session, want: Session) -> bool:
    same = all(getattr(got, name) == getattr(want, name) for name in ("name", "counts", "item"))
    arrays = got.arrays.keys() == want.arrays.keys()
    values = got.values is want.values is None or np.array_equal(got.values, want.values)
    leaves = {name: (leaf.tobytes(), leaf.shape, leaf.dtype) for name, leaf in got.leaves.items()}
    return bool(
        same
        and values
        and arrays
        and all(np.array_equal(got.arrays[name], array) for name, array in want.arrays.items())
        and leaves == {name: (leaf.tobytes(), leaf.shape, leaf.dtype) for name, leaf in want.leaves.items()}
    )


@pytest.mark.parametrize(
    "sessions",
    [[], [SEEN], [NEW], [SEEN, NEW, SEEN], [WORD], [WORD, WORD._replace(item=None)]],
    ids=["none", "one", "new", "three", "item", "items"],
)
def test_round_trip(sessions: list[Session]) -> None:
    data = pack(sessions, "abc")
    back = unpack(data, "abc")
    assert len(back) == len(sessions)
    assert all(map(equal, back, sessions))
    assert pack(back, "abc") == data


def test_a_snapshot_of_an_earlier_statewise_restores() -> None:
    data = zlib.decompress(base64.b85decode(BEFORE))
    first, second = unpack(data, "abc")
    assert equal(first, SEEN._replace(values=np.ones((1, 2, 2))))
    assert equal(second, NEW._replace(name="b"))
    assert pack([first, second], "abc") == data


def test_leaves_are_not_shared_with_the_bytes() -> None:
    (back,) = unpack(pack([SEEN], "abc"), "abc")
    back.leaves["hidden"][0, 0] = 9
    assert SEEN.leaves["hidden"][0, 0] == 1.5


def with_head(head: Any) -> bytes:
    return tensor_file.save({"a": np.zeros(2)}, metadata={"statewise": json.dumps(head)})


def refused(data: bytes) -> str:
    with pytest.raises(StreamError) as caught:
        unpack(data, "abc")
    return str(caught.value)


def test_another_model_is_refused() -> None:
    assert refused(pack([SEEN], "fff")) == (
        "snapshot: of model fff, this is model abc. "
        "Restore it with the bundle that made it, or start a new session."
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        tensor_file.save({"a": np.zeros(2)}),
        with_head({"format": "other"}),
        with_head({"format": "statewise-stream", "version": 1}),
        with_head([1]),
    ],
    ids=["empty", "zip", "huge header", "list", "no metadata", "other format", "no model", "no object"],
)
def test_foreign_bytes_are_refused(data: bytes) -> None:
    assert refused(data) == DAMAGED


def test_a_newer_format_is_refused() -> None:
    head = {"format": "statewise-stream", "version": 2, "model": "abc", "series": [], "sha256": ""}
    assert (
        refused(with_head(head))
        == "snapshot: format 2, this Statewise reads 1. Upgrade: pip install --upgrade statewise"
    )


def test_every_truncation_is_refused() -> None:
    data = pack([SEEN, NEW], "abc")
    assert {refused(data[:end]) for end in range(len(data))} == {DAMAGED}


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(draw: st.DataObject) -> None:
    changed = bytearray(pack([SEEN], "abc"))
    changed[draw.draw(st.integers(0, len(changed) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        (back,) = unpack(bytes(changed), "abc")
    except StreamError:
        return
    assert equal(back, SEEN)


def test_a_well_hashed_snapshot_without_its_parts_is_refused() -> None:
    head = {"format": "statewise-stream", "version": 1, "model": "abc", "series": ["a"]}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    hash_arrays(digest, {"a": np.zeros(2)})
    assert refused(with_head({**head, "sha256": digest.hexdigest()})) == DAMAGED


def test_states_that_grew_to_different_sizes_are_refused() -> None:
    short, long = (SEEN._replace(leaves={"keys": np.zeros((1, size, 2), np.float32)}) for size in (3, 7))
    assert len(unpack(pack([long, long], "abc"), "abc")) == 2
    with pytest.raises(StreamError) as caught:
        pack([short, long], "abc")
    assert str(caught.value) == (
        "snapshot: the state grows, and its leaf 'keys' has sizes [3, 2] and [7, 2]: no common file. "
        "Take the snapshot of each stream by itself."
    )
