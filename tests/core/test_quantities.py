import math

import pytest

from statewise.core.errors import ConfigError
from statewise.core.quantities import duration_text, seconds, size_in_bytes, size_text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5 min", 300.0),
        ("1 ms", 0.001),
        ("1ms", 0.001),
        (" 2.5 h ", 9000.0),
        ("200 us", 2e-4),
        ("200 µs", 2e-4),
        ("200 μs", 2e-4),
        (".5 s", 0.5),
        ("1e3 s", 1000.0),
        ("90 S", 90.0),
        ("90", 90.0),
        ("2 minutes", 120.0),
        ("3 mins", 180.0),
        ("1.5 hours", 5400.0),
        ("10 Seconds", 10.0),
        (2, 2.0),
        (0.25, 0.25),
    ],
)
def test_durations_become_seconds(written: str | float, value: float) -> None:
    assert seconds(written, "budget") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2 MB", 2_000_000),
        ("2 MiB", 2 * 2**20),
        ("1.5 kB", 1500),
        ("64 KiB", 65536),
        ("3 gb", 3 * 10**9),
        (7, 7),
    ],
)
def test_sizes_become_bytes(written: str | float, value: int) -> None:
    assert size_in_bytes(written, "memory") == value


@pytest.mark.parametrize("wrong", ["5 days", "min", "-5 min", "0 s", "", "1 MB", "nan s", "5 hs", "1 2 s"])
def test_what_is_no_duration_is_refused_with_the_units(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        seconds(wrong, "budget")
    assert str(caught.value) == (
        f'budget: got "{wrong}", want a duration above zero such as "5 min" (units: ns, us, ms, s, min, h).'
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1, 0, True, None])
def test_a_number_must_be_finite_and_above_zero(wrong: object) -> None:
    with pytest.raises(ConfigError) as caught:
        size_in_bytes(wrong, "memory")  # type: ignore[arg-type]
    assert str(caught.value) == (
        f'memory: got {wrong!r}, want a size above zero such as "50 MB" '
        "(units: B, kB, MB, GB, KiB, MiB, GiB)."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8.2e-4, "820 µs"),
        (1.254, "1.25 s"),
        (204.0, "3.4 min"),
        (0.001, "1 ms"),
        (7200, "2 h"),
        (5e-10, "0.5 ns"),
    ],
)
def test_durations_are_shown_in_the_unit_that_fits(value: float, text: str) -> None:
    assert duration_text(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (512, "512 B"), (1500, "1.5 kB"), (2_000_000, "2 MB"), (123456, "123 kB")]
)
def test_sizes_are_shown_in_the_unit_that_fits(count: int, text: str) -> None:
    assert size_text(count) == text
