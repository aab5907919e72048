"""Offsets of whole arrays agree with the standard library's, hour by hour."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError
from statewise.rows.zones import is_fixed, zone

NAMES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "UTC",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", NAMES)
@given(seconds=st.lists(st.integers(-2_000_000_000, 3_900_000_000), min_size=1))
def test_utc_to_wall_as_the_standard_library(name: str, seconds: list[int]) -> None:
    rules = zoneinfo.ZoneInfo(name)
    want = []
    for second in seconds:
        offset = (EPOCH + timedelta(seconds=second)).astimezone(rules).utcoffset()
        assert offset is not None
        want.append(second + int(offset.total_seconds()))
    np.testing.assert_array_equal(zone(name).to_local(np.array(seconds)), want)
    assert [second + zone(name).offset_at(second) for second in seconds] == want


@pytest.mark.parametrize("name", NAMES)
def test_every_hour_of_two_years_comes_back_from_the_wall(name: str) -> None:
    utc = np.arange(1_577_836_800, 1_577_836_800 + 2 * 366 * 86_400, 1800)
    local = zone(name).to_utc(zone(name).to_local(utc))
    assert not local.missing.any()
    assert ((local.first == utc) | (local.second == utc)).all()
    np.testing.assert_array_equal(local.first[~local.ambiguous], utc[~local.ambiguous])
    assert (local.second[local.ambiguous] > local.first[local.ambiguous]).all()


def test_the_double_and_the_skipped_hour_of_berlin() -> None:
    wall = np.array(["2024-10-27T01:30", "2024-10-27T02:30", "2024-03-31T02:30"], dtype="datetime64[s]")
    local = zone("Europe/Berlin").to_utc(wall.astype(np.int64))
    np.testing.assert_array_equal(local.ambiguous, [False, True, False])
    np.testing.assert_array_equal(local.missing, [False, False, True])
    assert local.first[1].astype("datetime64[s]") == np.datetime64("2024-10-27T00:30")
    assert local.second[1].astype("datetime64[s]") == np.datetime64("2024-10-27T01:30")


def test_mere_offsets_are_zones_too() -> None:
    assert zone("+05:30").offset_at(0) == 19_800
    assert zone("UTC-02:00").to_local(np.array([7200])).tolist() == [0]
    assert is_fixed("UTC+02:00")
    assert not is_fixed("UTC")


def test_unknown_zones_get_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        zone("Europe/Berln")
    assert str(caught.value) == "timezone: no such zone 'Europe/Berln'. Did you mean 'Europe/Berlin'?"
    with pytest.raises(ConfigError) as caught:
        zone("???")
    assert str(caught.value) == "timezone: no such zone '???'. Want a name such as 'Europe/Berlin' or 'UTC'."
