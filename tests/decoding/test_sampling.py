"""Filters on logits keep what they say, and draws are seeded."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError
from statewise.decoding.sampling import (
    Sampling,
    draw,
    kept_min_p,
    kept_top_k,
    kept_top_p,
    penalised,
    sample,
)

ROWS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12).map(lambda row: torch.tensor([row]))
SHARES = st.floats(0.01, 1.0)


def kept(logits: torch.Tensor) -> torch.Tensor:
    return logits > -math.inf


@given(ROWS, st.integers(1, 15))
def test_top_k_keeps_the_k_likeliest(logits: torch.Tensor, k: int) -> None:
    after = kept_top_k(logits, k)
    assert int(kept(after).sum()) == min(k, logits.shape[1])
    assert torch.equal(after[kept(after)], logits[kept(after)])
    if k < logits.shape[1]:
        assert logits[kept(after)].min() >= logits[~kept(after)].max()


@given(ROWS, SHARES)
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits: torch.Tensor, p: float) -> None:
    inside = kept(kept_top_p(logits, p))
    probabilities = logits.double().softmax(-1)
    assert inside.any()
    assert float(probabilities[inside].sum()) >= p - 1e-9
    # Smallest: of as many tokens none reach p less the likeliest set, and one fewer is not enough.
    fewer = probabilities.sort(descending=True).values[0, : int(inside.sum()) - 1].sum()
    assert float(fewer) < p + 1e-9
    if not inside.all():
        assert probabilities[inside].min() >= probabilities[~inside].max()


@given(ROWS, SHARES)
def test_min_p_keeps_tokens_by_their_share_of_the_likeliest(logits: torch.Tensor, share: float) -> None:
    inside = kept(kept_min_p(logits, share))
    ratio = (logits - logits.max()).double().exp()
    assert inside[logits == logits.max()].all()
    assert bool((ratio[inside] >= share - 1e-5).all())
    assert bool((ratio[~inside] <= share + 1e-5).all())


@given(ROWS, st.floats(1, 5), st.data())
def test_the_penalty_weakens_what_was_seen(logits: torch.Tensor, penalty: float, data: st.DataObject) -> None:
    seen = torch.tensor(
        [data.draw(st.lists(st.booleans(), min_size=logits.numel(), max_size=logits.numel()))]
    )
    before, after = logits.log_softmax(-1), penalised(logits, seen, penalty)
    assert torch.equal(after[~seen], before[~seen])
    assert bool((after[seen] <= before[seen]).all())
    # A constant added to all logits changes no probability, so it must not change the penalty either.
    assert torch.allclose(penalised(logits + 3, seen, penalty), after, atol=1e-3)


def test_the_penalty_of_a_worked_case() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    seen = torch.tensor([[True, False, False]])
    after = penalised(logits, seen, 2.0)
    assert after.exp().tolist()[0] == pytest.approx([0.25, 0.25, 0.25])


def test_temperature_0_takes_the_likeliest_and_the_first_of_equals() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0]])
    for _ in range(5):
        assert draw(Sampling(temperature=0).filtered(logits)).tolist() == [1]


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(20_000, 3)
    drawn = draw(logits, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=3) / len(drawn)
    assert share.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.02)


def counting_step(token: torch.Tensor, state: int) -> tuple[torch.Tensor, int]:
    """Logits that depend on the token alone; the state counts the steps."""
    return torch.sin(torch.arange(5.0) * (token.unsqueeze(-1) + 1)), state + 1


def test_sampling_is_seeded_and_leaves_torch_s_own_numbers_alone() -> None:
    before = torch.get_rng_state()

    def run(seed: int) -> list[int]:
        tokens = sample(counting_step, torch.zeros(1, 5), 0, generator=torch.Generator().manual_seed(seed))
        return [int(token) for token in itertools.islice(tokens, 30)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_step_is_taken_before_its_token_is_asked_for() -> None:
    steps = []

    def step(token: torch.Tensor, state: int) -> tuple[torch.Tensor, int]:
        steps.append(state)
        return torch.zeros(1, 5), state + 1

    assert len(list(itertools.islice(sample(step, torch.zeros(1, 5), 0), 3))) == 3
    assert steps == [0, 1]


def test_a_strong_penalty_makes_every_token_new() -> None:
    sampling = Sampling(temperature=0, repetition_penalty=1e6)
    tokens = sample(lambda token, state: (torch.zeros(1, 5), state), torch.zeros(1, 5), 0, sampling)
    assert sorted(int(token) for token in itertools.islice(tokens, 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("setting", "value", "want"),
    [
        ("temperature", -1, "a number of at least 0 (0: always the likeliest)"),
        ("top_k", 2.5, "a whole number of at least 0 (0: all)"),
        ("top_p", 0, "a share above 0, at most 1 (1: all)"),
        ("min_p", 2, "a share from 0 (off) to 1"),
        ("repetition_penalty", 0.5, "a number of at least 1 (1: off)"),
    ],
)
def test_settings_are_checked(setting: str, value: float, want: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Sampling(**{setting: value})
    assert str(raised.value) == f"{setting}: got {value!r}, want {want}."
