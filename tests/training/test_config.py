from __future__ import annotations

import math

import pytest

from statewise.core.errors import ConfigError
from statewise.training.config import TrainConfig, seconds


@pytest.mark.parametrize(
    ("text", "want"),
    [
        *[(90, 90), (0.5, 0.5), ("2 min", 120), ("2min", 120), ("90s", 90), ("90", 90), ("1.5 h", 5400)],
        *[("2 minutes", 120), ("1 hour", 3600), (" 10 Seconds ", 10), ("3 mins", 180)],
    ],
)
def test_durations(text: float | str, want: float) -> None:
    assert seconds(text, "time_budget") == want


@pytest.mark.parametrize("text", ["soon", "2 days", "-3 s", -1, math.inf, math.nan, True, None, "1 2 s", ""])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ConfigError) as error:
        seconds(text, "time_budget")  # type: ignore[arg-type]
    assert str(error.value) == (
        f"time_budget: got {text!r}, want seconds or text such as '90 s', '2 min', '1.5 h'."
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": 0}, "steps: got 0, want a whole number of at least 1."),
        ({"steps": 2.5}, "steps: got 2.5, want a whole number of at least 1."),
        ({"learning_rate": 0}, "learning_rate: got 0, want a number above 0."),
        ({"learning_rate": math.nan}, "learning_rate: got nan, want a number above 0."),
        ({"learning_rate": "big"}, "learning_rate: got 'big', want a number above 0."),
        ({"gradient_clip": -1.0}, "gradient_clip: got -1.0, want a number of at least 0 (0: no clipping)."),
        ({"average": 1}, "average: got 1, want a number from 0 (off) to below 1."),
        (
            {"average": 0.9, "average_last": 3},
            "average_last: got both average and average_last, want one of them.",
        ),
        ({"batch_tokens": -1}, "batch_tokens: got -1, want a whole number of at least 0."),
        ({"seed": True}, "seed: got True, want a whole number of at least 0."),
        ({"threads": 0}, "threads: got 0, want 'auto' or a whole number of at least 1."),
        ({"threads": "many"}, "threads: got 'many', want 'auto' or a whole number of at least 1."),
        ({"optimizer": "adamww"}, "optimizer: no such optimizer 'adamww'. Did you mean 'adamw'?"),
        ({"schedule": "onecycle"}, "schedule: no such schedule 'onecycle'. Did you mean 'one_cycle'?"),
        ({"precision": "bf16"}, "precision: no such precision 'bf16'. Did you mean 'bfloat16'?"),
    ],
)
def test_a_value_out_of_range_is_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig(**settings)  # type: ignore[arg-type]
    assert str(error.value) == text


def test_no_budget_is_endless() -> None:
    assert TrainConfig().budget == math.inf
    assert TrainConfig(time_budget="2 min").budget == 120
