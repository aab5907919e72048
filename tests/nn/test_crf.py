"""The random field against brute force: every label sequence written out, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.crf import (
    ILLEGAL,
    Chain,
    Legality,
    Transitions,
    log_likelihood,
    log_partition,
    marginals,
    mean_chain,
    path_score,
    posterior,
    tempered,
)
from statewise.nn.filtering import Filter, filter_step
from statewise.nn.viterbi import n_best, viterbi
from statewise.testing import check_recurrence

K, T = 3, 4
LENGTHS = torch.tensor([4, 0, 1, 3])
FREE = Legality(np.ones(K, bool), np.ones((K, K), bool), np.ones(K, bool))
# Label 2 may not start, follows only 1, and 1 may not end.
STRICT = Legality(
    np.array([True, True, False]),
    np.array([[True, True, False], [True, True, True], [True, False, False]]),
    np.array([True, False, True]),
)


def field(legality: Legality, seed: int = 0) -> tuple[Tensor, Transitions]:
    torch.manual_seed(seed)
    transitions = Transitions(K, legality).double()
    for weight in transitions.parameters():
        torch.nn.init.normal_(weight)
    emissions = torch.randn(len(LENGTHS), T, K, dtype=torch.float64)
    for row, length in enumerate(LENGTHS.tolist()):
        emissions[row, length:] = float("nan")
    return emissions, transitions


def score(emissions: Tensor, chain: Chain, labels: tuple[int, ...]) -> Tensor:
    """The definition, term by term; an illegal sequence has none (-inf)."""
    parts = [chain.start[labels[0]], *(chain.transitions[a, b] for a, b in itertools.pairwise(labels))]
    parts += [emissions[t, label] for t, label in enumerate(labels)] + [chain.end[labels[-1]]]
    total = torch.stack(parts).sum()
    return total if total > ILLEGAL / 2 else total - torch.inf


def enumerated(emissions: Tensor, chain: Chain, length: int) -> dict[tuple[int, ...], Tensor]:
    return {labels: score(emissions, chain, labels) for labels in itertools.product(range(K), repeat=length)}


@pytest.mark.parametrize("legality", [FREE, STRICT], ids=["free", "strict"])
def test_the_sum_over_all_sequences(legality: Legality) -> None:
    emissions, transitions = field(legality)
    chain = transitions()
    found = log_partition(emissions, chain, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        all_scores = list(enumerated(emissions[row], chain, length).values()) if length else [torch.zeros(())]
        torch.testing.assert_close(found[row].item(), torch.stack(all_scores).logsumexp(0).item())


@pytest.mark.parametrize("legality", [FREE, STRICT], ids=["free", "strict"])
def test_its_gradient_is_that_of_the_sum_written_out(legality: Legality) -> None:
    emissions, transitions = field(legality)
    labels = torch.tensor([[0, 1, 2, 0], [0] * 4, [0] * 4, [1, 2, 0, 0]])
    weight = torch.randn(4, dtype=torch.float64)
    leaf = emissions.nan_to_num(7.0).requires_grad_()
    (log_likelihood(leaf, labels, transitions(), LENGTHS) * weight).sum().backward()
    got = [leaf.grad, *(parameter.grad for parameter in transitions.parameters())]
    want_leaf = emissions.nan_to_num(7.0).requires_grad_()
    wanted, chain = torch.zeros((), dtype=torch.float64), transitions()
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            scores = enumerated(want_leaf[row], chain, length)
            gold = scores[tuple(labels[row, :length].tolist())]
            legal = torch.stack([value for value in scores.values() if value > ILLEGAL / 2])
            wanted = wanted + weight[row] * (gold - legal.logsumexp(0))
    want = torch.autograd.grad(wanted, [want_leaf, *transitions.parameters()])
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_padding_changes_neither_values_nor_gradients() -> None:
    emissions, transitions = field(STRICT)
    leaf = emissions.requires_grad_()
    log_partition(leaf, transitions(), LENGTHS).sum().backward()
    assert leaf.grad is not None
    assert not leaf.grad.isnan().any()
    assert not leaf.grad[2, 1:].any()


@pytest.mark.parametrize("legality", [FREE, STRICT], ids=["free", "strict"])
def test_marginals_of_tokens(legality: Legality) -> None:
    emissions, transitions = field(legality)
    chain = transitions()
    found = marginals(posterior(emissions, chain, LENGTHS), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        want = torch.zeros(T, K, dtype=torch.float64)
        scores = enumerated(emissions[row], chain, length) if length else {}
        total = torch.stack(list(scores.values())).logsumexp(0) if scores else torch.zeros(())
        for labels, value in scores.items():
            for t, label in enumerate(labels):
                want[t, label] += (value - total).exp().detach()
        torch.testing.assert_close(found[row], want)


@pytest.mark.parametrize("legality", [FREE, STRICT], ids=["free", "strict"])
@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_the_n_best_sequences(legality: Legality, n: int) -> None:
    emissions, transitions = field(legality)
    chain = transitions()
    paths, scores = n_best(emissions, chain, LENGTHS, n)
    assert paths.shape == (4, n, T)
    for row, length in enumerate(LENGTHS.tolist()):
        everything = enumerated(emissions[row], chain, length) if length else {(): torch.zeros(())}
        legal = {labels: value.item() for labels, value in everything.items() if value > ILLEGAL / 2}
        want = sorted(legal, key=legal.__getitem__, reverse=True)[:n]
        got = [tuple(path[:length].tolist()) for path in paths[row, : len(want)]]
        assert got == want
        np.testing.assert_allclose(scores[row, : len(want)].tolist(), [legal[path] for path in want])
        assert torch.isneginf(scores[row, len(want) :]).all()
    assert torch.equal(viterbi(emissions, chain, LENGTHS), paths[:, 0])


def test_fewer_than_one_sequence_is_refused() -> None:
    emissions, transitions = field(FREE)
    with pytest.raises(ConfigError) as error:
        n_best(emissions, transitions(), LENGTHS, 0)
    assert str(error.value) == "n_best: got 0, want 1 or more."


def test_a_temperature_sharpens_or_flattens_and_keeps_what_is_illegal() -> None:
    emissions, transitions = field(STRICT)
    chain = tempered(transitions(), 2.0)
    assert chain.transitions[0, 2] == ILLEGAL
    torch.testing.assert_close(chain.start[0], transitions.start[0] / 2)
    flat = marginals(posterior(emissions / 2.0, chain, LENGTHS), LENGTHS)
    sharp = marginals(posterior(emissions, transitions(), LENGTHS), LENGTHS)
    assert flat[0].max() < sharp[0].max()


def test_the_mean_of_chains() -> None:
    one, two = field(FREE)[1](), field(FREE, seed=1)[1]()
    torch.testing.assert_close(mean_chain([one, two]).end, (one.end + two.end) / 2)


def test_shapes_are_checked() -> None:
    _, transitions = field(FREE)
    wrong = [
        (torch.zeros(2, 0, 3), torch.zeros(2, 0), torch.tensor([0, 0])),
        (torch.zeros(2, 4, 3), torch.zeros(2, 4), torch.tensor([1])),
        (torch.zeros(2, 4, 3), torch.zeros(2, 3), torch.tensor([1, 1])),
    ]
    texts = [
        "crf: got emissions of shape [2, 0, 3], want [B, T, K] with T ≥ 1.",
        "crf: got lengths of shape [1], want [2].",
        "crf: got labels of shape [2, 3], want [2, 4] as emissions.",
    ]
    for (emissions, labels, lengths), text in zip(wrong, texts, strict=True):
        with pytest.raises(ShapeError) as error:
            path_score(emissions, labels.long(), transitions(), lengths)
        assert str(error.value) == text


def test_the_filter_gives_the_marginal_of_the_newest_label() -> None:
    emissions, transitions = field(STRICT)
    chain = transitions()
    found, _ = Filter(transitions)(emissions[:1])
    open_end = chain._replace(end=torch.zeros(K, dtype=torch.float64))
    for t in range(T):
        so_far = marginals(posterior(emissions[:1, : t + 1], open_end, torch.tensor([t + 1])), LENGTHS[:1])
        torch.testing.assert_close(found[0, t].exp(), so_far[0, t], atol=1e-12, rtol=0)


def test_the_law_of_the_filter() -> None:
    check_recurrence(lambda: Filter(Transitions(K, STRICT)), K)
    check_recurrence(lambda: Filter(Transitions(K)), K)


def test_a_filter_step_is_a_distribution() -> None:
    _, transitions = field(STRICT)
    state = Filter(transitions).initial_state(2)
    found, after = filter_step(torch.randn(2, K, dtype=torch.float64), transitions(), state)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2, dtype=torch.float64))
    assert found[:, 2].exp().max() == 0  # may not start
    assert after.shape == (2, K + 1)
